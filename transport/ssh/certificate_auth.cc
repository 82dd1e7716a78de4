#include "transport/ssh/certificate_auth.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <cstring>
#include <ctime>

#include "transport/ssh/errors.h"
#include "transport/ssh/session.h"
#include "transport/ssh/wire.h"

namespace bt::ssh {
namespace {

constexpr std::string_view kEd25519Certificate = "ssh-ed25519-cert-v01@openssh.com";
constexpr std::string_view kRsaCertificate = "ssh-rsa-cert-v01@openssh.com";
constexpr std::uint32_t kUserCertificate = 1;
constexpr std::size_t kMaxCertificateText = 64 * 1024;

Error NotACertificate(std::string_view why) {
  return Error{Code::kRefused,
               fmt::format("the service gave something that is not an SSH user certificate ({}); try again, and tell "
                           "Baseten's support when it stays so",
                           why),
               "ssh.certificate", Fate::kNotSent};
}

// libssh2 hands over what is to be signed (RFC 4252 section 7), which names the algorithm it chose.
std::string_view AlgorithmOf(std::span<const std::byte> signed_data) {
  WireReader reader(signed_data);
  const auto session_id = reader.String();
  const auto message = reader.Byte();
  const auto user = reader.String();
  const auto service = reader.String();
  const auto method = reader.String();
  const auto has_signature = reader.Byte();
  const auto algorithm = reader.Text();
  const bool whole = session_id && message && user && service && method && has_signature && algorithm;
  return whole ? *algorithm : std::string_view();
}

int SignForLibssh2(LIBSSH2_SESSION* session, unsigned char** signature, std::size_t* signature_size,
                   const unsigned char* data, std::size_t size, void** abstract) {
  const auto& key_pair = *static_cast<const KeyPair*>(*abstract);
  const auto bytes = std::as_bytes(std::span(data, size));
  const Result<std::vector<std::byte>> made = key_pair.Sign(AlgorithmOf(bytes), bytes);
  if (!made.ok()) {
    return made.error().code == Code::kUnsupported ? LIBSSH2_ERROR_ALGO_UNSUPPORTED
                                                   : LIBSSH2_ERROR_PUBLICKEY_UNVERIFIED;
  }
  // libssh2 frees it, with the session's allocator.
  *signature = static_cast<unsigned char*>(Session::Of(session).heap().Allocate(made->size()));
  if (*signature == nullptr) {
    return LIBSSH2_ERROR_ALLOC;
  }
  std::memcpy(*signature, made->data(), made->size());
  *signature_size = made->size();
  return 0;
}

std::string Moment(std::uint64_t seconds) {
  constexpr std::uint64_t kEndOfYear9999 = 253402300799;
  if (seconds > kEndOfYear9999) {
    return "for ever";
  }
  const auto time = static_cast<std::time_t>(seconds);
  std::tm parts{};
  gmtime_r(&time, &parts);
  return fmt::format("{:%Y-%m-%d %H:%M:%S} UTC", parts);
}

}  // namespace

Result<Certificate> Certificate::Parse(std::string_view text) {
  if (text.size() > kMaxCertificateText) {
    return NotACertificate("too long");
  }
  constexpr std::string_view kBlank = " \t\r\n";
  const std::size_t start = text.find_first_not_of(kBlank);
  text.remove_prefix(start == std::string_view::npos ? text.size() : start);
  Certificate certificate;
  certificate.type = text.substr(0, text.find_first_of(kBlank));
  if (certificate.type != kEd25519Certificate && certificate.type != kRsaCertificate) {
    return NotACertificate("unknown type");
  }
  text.remove_prefix(certificate.type.size());
  const std::size_t digits = text.find_first_not_of(kBlank);
  text.remove_prefix(digits == std::string_view::npos ? text.size() : digits);
  const auto blob = DecodeBase64(text.substr(0, text.find_first_of(kBlank)));
  if (!blob) {
    return NotACertificate("not base64");
  }
  certificate.blob.assign(blob->begin(), blob->end());

  WireReader reader(certificate.blob);
  const auto type = reader.Text();
  const auto nonce = reader.String();
  if (!type || *type != certificate.type || !nonce) {
    return NotACertificate("damaged");
  }
  if (certificate.type == kEd25519Certificate) {
    const auto half = reader.String();
    if (!half) {
      return NotACertificate("damaged");
    }
    AppendString(certificate.public_blob, "ssh-ed25519");
    AppendString(certificate.public_blob, *half);
  } else {
    const auto e = reader.String();
    const auto n = reader.String();
    if (!e || !n) {
      return NotACertificate("damaged");
    }
    AppendString(certificate.public_blob, "ssh-rsa");
    AppendMpint(certificate.public_blob, *e);
    AppendMpint(certificate.public_blob, *n);
  }
  const auto serial = reader.Uint64();
  const auto kind = reader.Uint32();
  const auto key_id = reader.String();
  const auto principals = reader.String();
  const auto valid_after = reader.Uint64();
  const auto valid_before = reader.Uint64();
  if (!serial || !kind || !key_id || !principals || !valid_after || !valid_before) {
    return NotACertificate("damaged");
  }
  if (*kind != kUserCertificate) {
    return NotACertificate("not a user's");
  }
  certificate.valid_after = *valid_after;
  certificate.valid_before = *valid_before;
  return certificate;
}

CertificateLogin::CertificateLogin(std::string user, Certificate certificate, const KeyPair& key_pair)
    : user_(std::move(user)), certificate_(std::move(certificate)), key_pair_(key_pair) {}

Result<bool> CertificateLogin::Step(LIBSSH2_SESSION* session) {
  void* key = const_cast<KeyPair*>(&key_pair_);  // libssh2's cookie is not const; SignForLibssh2 only reads
  for (;;) {
    libssh2_session_set_last_error(session, 0, nullptr);
    // By blob and callback rather than libssh2's own key reader: it takes the same road for a key in memory, a key on
    // disk and both types, and libssh2 never sees the private key. For RSA, libssh2 picks a SHA-2 signature that the
    // server announced, and names it in the data to sign.
    const int status = libssh2_userauth_publickey(session, user_.c_str(),
                                                  reinterpret_cast<const unsigned char*>(certificate_.blob.data()),
                                                  certificate_.blob.size(), &SignForLibssh2, &key);
    if (status == 0) {
      return true;
    }
    if (status == LIBSSH2_ERROR_EAGAIN) {
      return false;
    }
    const bool refused = status == LIBSSH2_ERROR_AUTHENTICATION_FAILED || status == LIBSSH2_ERROR_PUBLICKEY_UNVERIFIED;
    if (refused && certificate_.type == kRsaCertificate && !tried_sha256_) {
      // OpenSSH announces rsa-sha2-512, which libssh2 prefers, even where its configuration allows rsa-sha2-256 only.
      tried_sha256_ = true;
      libssh2_session_method_pref(session, LIBSSH2_METHOD_SIGN_ALGO, "rsa-sha2-256");
      continue;
    }
    return refused ? RefusedCertificate(user_, certificate_, static_cast<std::uint64_t>(std::time(nullptr)))
                   : SessionError(session, status, "logging in");
  }
}

Error RefusedCertificate(const std::string& user, const Certificate& certificate, std::uint64_t now) {
  std::string hint;
  if (now < certificate.valid_after || now >= certificate.valid_before) {
    hint = fmt::format(
        "it is valid from {} to {}, and this machine's clock says {}: check the clock, or get a new certificate by "
        "trying again",
        Moment(certificate.valid_after), Moment(certificate.valid_before), Moment(now));
  } else {
    hint =
        "its SSH server does not say why; most often the container's clock is wrong or its SSH set-up is incomplete. "
        "Try again, then look at the job's log";
  }
  return Error{Code::kRefused, fmt::format("the container refused the certificate for user \"{}\": {}", user, hint),
               "ssh.auth", Fate::kNotSent};
}

}  // namespace bt::ssh
