#include "tests/support/standin/tls_identity.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <utility>

namespace bt::standin {
namespace {

constexpr long kDay = 24L * 3600;

struct KeyFree {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
struct CertificateFree {
  void operator()(X509* certificate) const { X509_free(certificate); }
};

struct Identity {
  std::unique_ptr<EVP_PKEY, KeyFree> key;
  std::unique_ptr<X509, CertificateFree> certificate;
};

bool AddExtension(X509* certificate, X509* issuer, int nid, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value);
  const bool added = extension != nullptr && X509_add_ext(certificate, extension, -1) == 1;
  X509_EXTENSION_free(extension);
  return added;
}

struct Request {
  const char* common_name;
  const char* names;          // subjectAltName; null for an authority
  long days;                  // until it ends
  const Identity* authority;  // null: signs itself
};

Result<Identity> MakeIdentity(const Request& request) {
  Identity identity;
  identity.key.reset(EVP_EC_gen("P-256"));
  identity.certificate.reset(X509_new());
  X509* certificate = identity.certificate.get();
  if (!identity.key || certificate == nullptr) {
    return Error{Code::kInternal, TakeSslError(), "standin.tls"};
  }
  const bool is_authority = request.authority == nullptr;
  X509* issuer = is_authority ? certificate : request.authority->certificate.get();
  EVP_PKEY* signer = is_authority ? identity.key.get() : request.authority->key.get();

  std::uint64_t serial = 0;
  RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof serial);
  X509_set_version(certificate, X509_VERSION_3);
  ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), serial >> 1U);
  X509_gmtime_adj(X509_getm_notBefore(certificate), -10 * kDay);
  X509_gmtime_adj(X509_getm_notAfter(certificate), request.days * kDay);
  X509_set_pubkey(certificate, identity.key.get());
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(request.common_name), -1, -1, 0);
  X509_set_issuer_name(certificate, X509_get_subject_name(issuer));
  bool made = AddExtension(certificate, issuer, NID_subject_key_identifier, "hash");
  if (is_authority) {
    made = made && AddExtension(certificate, issuer, NID_basic_constraints, "critical,CA:TRUE") &&
           AddExtension(certificate, issuer, NID_key_usage, "critical,keyCertSign,cRLSign");
  } else {
    made = made && AddExtension(certificate, issuer, NID_basic_constraints, "critical,CA:FALSE") &&
           AddExtension(certificate, issuer, NID_ext_key_usage, "serverAuth") &&
           AddExtension(certificate, issuer, NID_authority_key_identifier, "keyid") &&
           AddExtension(certificate, issuer, NID_subject_alt_name, request.names);
  }
  if (!made || X509_sign(certificate, signer, EVP_sha256()) == 0) {
    return Error{Code::kInternal, TakeSslError(), "standin.tls"};
  }
  return identity;
}

Result<SslContext> MakeContext(const Request& request) {
  const Identity identity = TRY(MakeIdentity(request));
  SslContext context(SSL_CTX_new(TLS_server_method()));
  if (!context || SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION) != 1 ||
      SSL_CTX_use_certificate(context.get(), identity.certificate.get()) != 1 ||
      SSL_CTX_use_PrivateKey(context.get(), identity.key.get()) != 1) {
    return Error{Code::kInternal, TakeSslError(), "standin.tls"};
  }
  SSL_CTX_set_mode(context.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  return context;
}

}  // namespace

std::string TakeSslError() {
  char text[256] = "unknown error";
  if (const unsigned long error = ERR_peek_last_error(); error != 0) {
    ERR_error_string_n(error, text, sizeof text);
  }
  ERR_clear_error();
  return text;
}

Result<std::unique_ptr<TlsIdentities>> TlsIdentities::Make(const std::string& ca_file) {
  constexpr const char* kLocal = "DNS:localhost,IP:127.0.0.1";
  const Identity authority = TRY(MakeIdentity({"Stand-in authority", nullptr, 3650, nullptr}));
  const Identity stranger = TRY(MakeIdentity({"Unknown authority", nullptr, 3650, nullptr}));
  auto identities = std::make_unique<TlsIdentities>();
  identities->contexts_[static_cast<std::size_t>(TlsCertificate::kGood)] =
      TRY(MakeContext({"localhost", kLocal, 365, &authority}));
  identities->contexts_[static_cast<std::size_t>(TlsCertificate::kWrongName)] =
      TRY(MakeContext({"wrong.example", "DNS:wrong.example", 365, &authority}));
  identities->contexts_[static_cast<std::size_t>(TlsCertificate::kOtherCa)] =
      TRY(MakeContext({"localhost", kLocal, 365, &stranger}));
  identities->contexts_[static_cast<std::size_t>(TlsCertificate::kExpired)] =
      TRY(MakeContext({"localhost", kLocal, -1, &authority}));

  std::FILE* file = std::fopen(ca_file.c_str(), "w");
  const bool written = file != nullptr && PEM_write_X509(file, authority.certificate.get()) == 1;
  if (file == nullptr || std::fclose(file) != 0 || !written) {
    return Error{Code::kInternal, "cannot write " + ca_file, "standin.tls"};
  }
  return identities;
}

}  // namespace bt::standin
