/*
 * A test of libssh2's transport with our patches, built against its private headers: `scripts/setup.sh check-libssh2`.
 *
 * Two sessions know each other's keys without a key exchange. So one can send the other what a real server never
 * would: packets that are genuine (tag and MAC are right) and malformed. And each packet is read in pieces of every
 * size, which no network does on demand.
 */
#include "libssh2_priv.h"
#include "transport.h"
#include "mac.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition, ...) \
    do { \
        if(!(condition)) { \
            fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #condition); \
            fprintf(stderr, __VA_ARGS__); \
            fputc('\n', stderr); \
            exit(1); \
        } \
    } while(0)

#define PACKET_TYPE 200 /* no known one, so that the packet is just kept */

static const struct suite {
    const char *crypt, *mac;
} suites[] = {
    { "aes128-gcm@openssh.com", NULL },
    { "aes256-gcm@openssh.com", NULL },
    { "chacha20-poly1305@openssh.com", NULL },
    { "aes128-ctr", "hmac-sha2-256-etm@openssh.com" },
    { "aes256-ctr", "hmac-sha2-512-etm@openssh.com" },
    { "aes128-ctr", "hmac-sha2-256" },
    { "aes256-cbc", "hmac-sha2-256" },
};

/* What was sent and not yet read. */
static unsigned char wire[200000];
static size_t wire_end, wire_at, piece;

static ssize_t on_send(libssh2_socket_t fd, const void *bytes, size_t size, int flags, void **abstract)
{
    (void)fd; (void)flags; (void)abstract;
    CHECK(wire_end + size <= sizeof(wire), "wire too short");
    memcpy(wire + wire_end, bytes, size);
    wire_end += size;
    return (ssize_t)size;
}

static ssize_t on_receive(libssh2_socket_t fd, void *out, size_t size, int flags, void **abstract)
{
    size_t count = wire_end - wire_at;
    (void)fd; (void)flags; (void)abstract;
    if(count > size)
        count = size;
    if(count > piece)
        count = piece;
    if(!count)
        return -EAGAIN;
    memcpy(out, wire + wire_at, count);
    wire_at += count;
    return (ssize_t)count;
}

static void set_up(LIBSSH2_SESSION *session, libssh2_endpoint_data *side, const struct suite *suite, int encrypt)
{
    /* The library takes and may free these. */
    static const unsigned char secret[64] = "what both sides have agreed upon, without asking a soul for it.";
    unsigned char *key = LIBSSH2_ALLOC(session, 64), *iv = LIBSSH2_ALLOC(session, 64);
    unsigned char *mac_key = LIBSSH2_ALLOC(session, 64);
    const LIBSSH2_CRYPT_METHOD **crypt = libssh2_crypt_methods();
    const LIBSSH2_MAC_METHOD **mac = _libssh2_mac_methods();
    int ours = 0;

    memcpy(key, secret, 64);
    memcpy(iv, secret, 64);
    memcpy(mac_key, secret, 64);
    while(*crypt && strcmp((*crypt)->name, suite->crypt))
        crypt++;
    CHECK(*crypt, "no %s", suite->crypt);
    side->crypt = *crypt;
    CHECK(!(*crypt)->init(session, *crypt, iv, &ours, key, &ours, encrypt, &side->crypt_abstract), "init");
    if(suite->mac) {
        while(*mac && strcmp((*mac)->name, suite->mac))
            mac++;
        side->mac = *mac;
        CHECK(side->mac, "no %s", suite->mac);
        CHECK(!side->mac->init(session, mac_key, &ours, &side->mac_abstract), "mac");
    }
    else
        side->mac = _libssh2_mac_override(*crypt);
    LIBSSH2_FREE(session, key);
    LIBSSH2_FREE(session, iv);
    if(!suite->mac || ours) /* a MAC may keep its key */
        LIBSSH2_FREE(session, mac_key);
}

static LIBSSH2_SESSION *new_session(const struct suite *to_peer, const struct suite *from_peer)
{
    LIBSSH2_SESSION *session = libssh2_session_init();
    CHECK(session, "session");
    libssh2_session_callback_set2(session, LIBSSH2_CALLBACK_SEND, (libssh2_cb_generic *)on_send);
    libssh2_session_callback_set2(session, LIBSSH2_CALLBACK_RECV, (libssh2_cb_generic *)on_receive);
    libssh2_session_set_blocking(session, 0);
    set_up(session, &session->local, to_peer, 1);
    set_up(session, &session->remote, from_peer, 0);
    session->state = LIBSSH2_STATE_NEWKEYS;
    session->socket_state = LIBSSH2_SOCKET_CONNECTED;
    return session;
}

static void end_session(LIBSSH2_SESSION *session)
{
    session->socket_state = LIBSSH2_SOCKET_DISCONNECTED;
    libssh2_session_free(session);
}

static void clear_wire(size_t new_piece)
{
    wire_at = wire_end = 0;
    piece = new_piece;
}

/* Reads until something but "try again" comes, or nothing is left. */
static int read_packet(LIBSSH2_SESSION *session)
{
    int rc;
    do {
        rc = _libssh2_transport_read(session);
    } while(rc == LIBSSH2_ERROR_EAGAIN && wire_at < wire_end);
    return rc;
}

static void send_and_compare(LIBSSH2_SESSION *from, LIBSSH2_SESSION *to, size_t size)
{
    static unsigned char text[40000];
    LIBSSH2_PACKET *packet;
    size_t i;
    int rc;

    text[0] = PACKET_TYPE;
    for(i = 1; i < size; i++)
        text[i] = (unsigned char)((i * 2654435761U + size) >> 13);
    /* in two parts, as channel data is */
    i = size / 2 ? size / 2 : 1;
    rc = _libssh2_transport_send(from, text, i, text + i, size - i);
    CHECK(rc == 0, "sending %zu bytes: %d", size, rc);
    rc = read_packet(to);
    CHECK(rc == PACKET_TYPE, "%zu bytes in pieces of %zu: %d", size, piece, rc);
    packet = _libssh2_list_first(&to->packets);
    CHECK(packet && packet->data_len == size && !memcmp(packet->data, text, size),
          "%zu bytes in pieces of %zu are not the same", size, piece);
    _libssh2_list_remove(&packet->node);
    LIBSSH2_FREE(to, packet->data);
    LIBSSH2_FREE(to, packet);
}

static void every_size(const struct suite *there, const struct suite *back)
{
    static const size_t pieces[] = { 1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 19, 20, 31, 32, 33, 35, 36, 37, 63, 100, 999, 34999, 200000 };
    size_t i, size;
    LIBSSH2_SESSION *a = new_session(there, back), *b = new_session(back, there);

    for(i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        clear_wire(pieces[i]);
        for(size = 1; size <= 300; size++) {
            clear_wire(pieces[i]);
            send_and_compare(a, b, size);
            clear_wire(pieces[i]);
            send_and_compare(b, a, size);
        }
        for(size = 32690; size <= 32730; size += pieces[i] < 20 ? 7 : 1) {
            clear_wire(pieces[i]);
            send_and_compare(a, b, size);
        }
    }
    end_session(a);
    end_session(b);
}

/* Several packets at once, and the first bytes of each with the end of the one before. */
static void in_a_row(const struct suite *suite, size_t step)
{
    LIBSSH2_SESSION *a = new_session(suite, suite), *b = new_session(suite, suite);
    unsigned char text[3000];
    int i, rc;

    clear_wire(step);
    memset(text, PACKET_TYPE, sizeof(text));
    for(i = 0; i < 50; i++)
        CHECK(!_libssh2_transport_send(a, text, 1 + (size_t)i * 59, NULL, 0), "send");
    for(i = 0; i < 50; i++) {
        rc = read_packet(b);
        CHECK(rc == PACKET_TYPE, "packet %d in pieces of %zu: %d", i, step, rc);
    }
    end_session(a);
    end_session(b);
}

/* A packet as its maker wants it: `length` bytes behind the length field, the first of them `padding`. Genuine. */
static void put_packet(LIBSSH2_SESSION *from, unsigned length, unsigned char padding)
{
    static unsigned char buf[40000];
    const LIBSSH2_CRYPT_METHOD *crypt = from->local.crypt;
    const LIBSSH2_MAC_METHOD *mac = from->local.mac;
    void **state = &from->local.crypt_abstract;
    size_t total = 4 + (size_t)length;
    int etm = mac && mac->etm;

    memset(buf, PACKET_TYPE, sizeof(buf));
    _libssh2_htonu32(buf, length);
    buf[4] = padding;
    if(crypt->flags & LIBSSH2_CRYPT_FLAG_REQUIRES_FULL_PACKET) {
        CHECK(!crypt->crypt(from, from->local.seqno, buf, total, state, 0), "crypt");
        total += crypt->auth_len;
    }
    else if(crypt->flags & LIBSSH2_CRYPT_FLAG_INTEGRATED_MAC) {
        CHECK(!crypt->crypt(from, 0, buf, total + 16, state, FIRST_BLOCK | LAST_BLOCK), "crypt");
        total += 16;
    }
    else {
        unsigned char tag[64];
        size_t first = etm ? 4 : 0, whole = (total - first) / 16 * 16;
        if(!etm)
            mac->hash(from, tag, from->local.seqno, buf, total, NULL, 0, &from->local.mac_abstract);
        if(whole)
            CHECK(!crypt->crypt(from, 0, buf + first, whole, state, FIRST_BLOCK | LAST_BLOCK), "crypt");
        if(etm)
            mac->hash(from, tag, from->local.seqno, buf, total, NULL, 0, &from->local.mac_abstract);
        memcpy(buf + total, tag, mac->mac_len);
        total += mac->mac_len;
    }
    from->local.seqno++;
    on_send(0, buf, total, 0, NULL);
}

/* Refused, nothing is kept, and the session can be given up. */
static void refused(const struct suite *suite, unsigned length, unsigned char padding, size_t step)
{
    LIBSSH2_SESSION *a = new_session(suite, suite), *b = new_session(suite, suite);
    int rc;

    clear_wire(step);
    put_packet(a, length, padding);
    /* A length that was changed can ask for more. */
    memset(wire + wire_end, 0x5a, 41000);
    wire_end += 41000;
    rc = read_packet(b);
    CHECK(rc < 0 && rc != LIBSSH2_ERROR_EAGAIN, "%s: length %u, padding %u, in pieces of %zu: %d", suite->crypt,
          length, padding, step, rc);
    CHECK(!_libssh2_list_first(&b->packets), "%s: length %u, padding %u was kept", suite->crypt, length, padding);
    (void)read_packet(b); /* whoever asks again gets another error or nothing, but no packet and no crash */
    CHECK(!_libssh2_list_first(&b->packets), "%s: something was kept afterwards", suite->crypt);
    end_session(a);
    end_session(b);
}

static void malformed(const struct suite *suite)
{
    static const size_t steps[] = { 1, 5, 16, 33, 200000 };
    unsigned block = strncmp(suite->crypt, "chacha", 6) ? 16 : 8;
    unsigned head = !suite->mac || strstr(suite->mac, "etm") ? 0 : 4; /* the length field is in the first block */
    size_t i;
    unsigned length;

    for(i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        for(length = 0; length < block - head; length++)
            refused(suite, length, length ? (unsigned char)(length - 1) : 0, steps[i]);
        for(length = block - head; length <= 4 * block; length += block) {
            refused(suite, length, (unsigned char)(length - 1), steps[i]); /* no payload */
            refused(suite, length, (unsigned char)length, steps[i]);
            refused(suite, length, 255, steps[i]);
        }
        if(block == 16)
            for(length = block + 1; length < 2 * block - head; length++)
                if((length + head) % block && suite->mac)
                    refused(suite, length, 4, steps[i]);
    }
}

/* One bit of a genuine packet is changed, anywhere. */
static void changed(const struct suite *suite)
{
    size_t at, total;
    for(at = 0; ; at++) {
        LIBSSH2_SESSION *a = new_session(suite, suite), *b = new_session(suite, suite);
        unsigned char text[45];
        int rc;

        clear_wire(at % 3 ? 200000 : 13);
        memset(text, PACKET_TYPE, sizeof(text));
        CHECK(!_libssh2_transport_send(a, text, sizeof(text), NULL, 0), "send");
        total = wire_end;
        if(at == 8 * total) {
            end_session(a);
            end_session(b);
            return;
        }
        wire[at / 8] ^= (unsigned char)(1U << at % 8);
        memset(wire + wire_end, 0x5a, 70000);
        wire_end += 70000;
        rc = read_packet(b);
        CHECK(rc < 0 && rc != LIBSSH2_ERROR_EAGAIN, "%s: bit %zu: %d", suite->crypt, at, rc);
        CHECK(!_libssh2_list_first(&b->packets), "%s: bit %zu: the packet was kept", suite->crypt, at);
        end_session(a);
        end_session(b);
    }
}

int main(void)
{
    size_t i, k, step;
    CHECK(!libssh2_init(0), "init");
    for(i = 0; i < sizeof(suites) / sizeof(suites[0]); i++) {
        for(k = 0; k < sizeof(suites) / sizeof(suites[0]); k++)
            every_size(&suites[i], &suites[k]);
        for(step = 1; step < 80; step++)
            in_a_row(&suites[i], step);
        malformed(&suites[i]);
        changed(&suites[i]);
        printf("%s %s: right\n", suites[i].crypt, suites[i].mac ? suites[i].mac : "");
        fflush(stdout);
    }
    libssh2_exit();
    return 0;
}
