#include "tests/unit/access/test_server.h"

#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <stdexcept>
#include <utility>

namespace bt::access::testing {
namespace {

void Require(bool ok, const char* what) {
  if (!ok) {
    throw std::runtime_error(what);
  }
}

std::string ToPem(const std::function<int(BIO*)>& write) {
  BIO* bio = BIO_new(BIO_s_mem());
  Require(write(bio) == 1, "cannot write PEM");
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio, &text);
  std::string pem(text, static_cast<std::size_t>(size));
  BIO_free(bio);
  return pem;
}

void AddExtension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  Require(extension != nullptr && X509_add_ext(certificate, extension, -1) == 1, "cannot add an extension");
  X509_EXTENSION_free(extension);
}

X509* MakeCertificate(const char* common_name, EVP_PKEY* key, const CertificateOptions& options) {
  X509* certificate = X509_new();
  X509_set_version(certificate, X509_VERSION_3);
  std::random_device random;
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), static_cast<long>(random() % 1'000'000'000U) + 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate), options.valid_from.count());
  X509_gmtime_adj(X509_getm_notAfter(certificate), options.valid_to.count());
  X509_set_pubkey(certificate, key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(common_name), -1, -1, 0);
  return certificate;
}

std::string Lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return text;
}

}  // namespace

TestCa::TestCa() : key_(EVP_EC_gen("P-256")) {
  certificate_ = MakeCertificate("test authority", key_, {});
  X509_set_issuer_name(certificate_, X509_get_subject_name(certificate_));
  AddExtension(certificate_, certificate_, NID_basic_constraints, "critical,CA:TRUE");
  AddExtension(certificate_, certificate_, NID_subject_key_identifier, "hash");
  Require(X509_sign(certificate_, key_, EVP_sha256()) > 0, "cannot sign");
  pem_ = ToPem([this](BIO* bio) { return PEM_write_bio_X509(bio, certificate_); });
}

TestCa::~TestCa() {
  X509_free(certificate_);
  EVP_PKEY_free(key_);
}

Certificate TestCa::Issue(const CertificateOptions& options) const {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  X509* certificate = MakeCertificate("test server", key, options);
  X509_set_issuer_name(certificate, X509_get_subject_name(certificate_));
  AddExtension(certificate, certificate_, NID_subject_alt_name, options.names);
  Require(X509_sign(certificate, key_, EVP_sha256()) > 0, "cannot sign");
  Certificate made;
  made.certificate_pem = ToPem([&](BIO* bio) { return PEM_write_bio_X509(bio, certificate); });
  made.key_pem =
      ToPem([&](BIO* bio) { return PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr); });
  X509_free(certificate);
  EVP_PKEY_free(key);
  return made;
}

TempDirectory::TempDirectory() {
  std::string pattern = (std::filesystem::temp_directory_path() / "bt-access-XXXXXX").string();
  Require(::mkdtemp(pattern.data()) != nullptr, "mkdtemp");
  path_ = pattern;
}

TempDirectory::~TempDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string TempDirectory::Write(const std::string& name, const std::string& text) const {
  const std::filesystem::path path = std::filesystem::path(path_) / name;
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
  std::filesystem::permissions(path, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  return path.string();
}

std::string Peer::Read(std::size_t size) {
  std::string bytes(size, '\0');
  const long got = ssl_ != nullptr ? SSL_read(ssl_, bytes.data(), static_cast<int>(size))
                                   : static_cast<long>(::recv(fd_, bytes.data(), size, 0));
  bytes.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  return bytes;
}

std::string Peer::ReadExactly(std::size_t size) {
  std::string bytes;
  while (bytes.size() < size) {
    const std::string more = Read(size - bytes.size());
    if (more.empty()) {
      break;
    }
    bytes += more;
  }
  return bytes;
}

bool Peer::Write(const std::string& bytes) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const std::size_t left = bytes.size() - done;
    const long sent = ssl_ != nullptr ? SSL_write(ssl_, bytes.data() + done, static_cast<int>(left))
                                      : static_cast<long>(::send(fd_, bytes.data() + done, left, MSG_NOSIGNAL));
    if (sent <= 0) {
      return false;
    }
    done += static_cast<std::size_t>(sent);
  }
  return true;
}

void Peer::WaitForClientToLeave() {
  while (!Read(4096).empty()) {
  }
}

void Peer::Reset() const {
  const linger at_once{1, 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

TestServer::TestServer(std::optional<Certificate> certificate, Handler handler)
    : certificate_(std::move(certificate)), handler_(std::move(handler)) {
  if (certificate_) {
    context_ = SSL_CTX_new(TLS_server_method());
    BIO* text = BIO_new_mem_buf(certificate_->certificate_pem.data(), -1);
    X509* x509 = PEM_read_bio_X509(text, nullptr, nullptr, nullptr);
    BIO_free(text);
    text = BIO_new_mem_buf(certificate_->key_pem.data(), -1);
    EVP_PKEY* key = PEM_read_bio_PrivateKey(text, nullptr, nullptr, nullptr);
    BIO_free(text);
    Require(SSL_CTX_use_certificate(context_, x509) == 1 && SSL_CTX_use_PrivateKey(context_, key) == 1, "certificate");
    X509_free(x509);
    EVP_PKEY_free(key);
  }
  listener_.Reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  Require(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0, "bind");
  Require(::listen(listener_.get(), 16) == 0, "listen");
  socklen_t size = sizeof address;
  ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size);
  port_ = ntohs(address.sin_port);
  acceptor_ = std::jthread([this] { Accept(); });
}

TestServer::~TestServer() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    for (const int fd : open_) {
      ::shutdown(fd, SHUT_RDWR);
    }
  }
  ::shutdown(listener_.get(), SHUT_RDWR);
  acceptor_.join();
  workers_.clear();
  SSL_CTX_free(context_);
}

int TestServer::connections() const {
  const std::lock_guard lock(mutex_);
  return accepted_;
}

void TestServer::Accept() {
  while (true) {
    const int fd = ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) {
      return;
    }
    const std::lock_guard lock(mutex_);
    if (stopping_) {
      ::close(fd);
      return;
    }
    ++accepted_;
    open_.push_back(fd);
    workers_.emplace_back([this, fd] { Serve(fd); });
  }
}

void TestServer::Serve(int fd) {
  // OpenSSL's own socket BIO writes without MSG_NOSIGNAL. Only this thread: the client's side must do without.
  sigset_t pipe_only;
  sigemptyset(&pipe_only);
  sigaddset(&pipe_only, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe_only, nullptr);

  SSL* ssl = context_ != nullptr ? SSL_new(context_) : nullptr;
  bool ready = true;
  if (ssl != nullptr) {
    SSL_set_fd(ssl, fd);
    ready = SSL_accept(ssl) == 1;
  }
  if (ready) {
    Peer peer(fd, ssl);
    handler_(peer);
    if (ssl != nullptr) {
      SSL_shutdown(ssl);
    }
  }
  SSL_free(ssl);
  ERR_clear_error();
  const std::lock_guard lock(mutex_);
  open_.erase(std::find(open_.begin(), open_.end(), fd));
  ::close(fd);
}

std::string HttpReply(const std::string& status, const std::string& body, const std::string& more) {
  return "HTTP/1.1 " + status + "\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n" + more + "\r\n" + body;
}

TestServer::Handler ServeHttp(std::function<std::string(const HttpRequest&)> answer) {
  return [answer = std::move(answer)](Peer& peer) {
    std::string buffer;
    while (true) {
      std::size_t end = std::string::npos;
      while ((end = buffer.find("\r\n\r\n")) == std::string::npos) {
        const std::string more = peer.Read(4096);
        if (more.empty()) {
          return;
        }
        buffer += more;
      }
      HttpRequest request;
      std::size_t at = buffer.find("\r\n");
      request.target = buffer.substr(0, buffer.find(" HTTP/"));
      while (at < end) {
        const std::size_t next = buffer.find("\r\n", at + 2);
        const std::string line = buffer.substr(at + 2, next - at - 2);
        const std::size_t colon = line.find(": ");
        if (colon != std::string::npos) {
          request.headers[Lower(line.substr(0, colon))] = line.substr(colon + 2);
        }
        at = next;
      }
      buffer.erase(0, end + 4);
      const auto length = static_cast<std::size_t>(std::atol(request.headers["content-length"].c_str()));
      if (buffer.size() < length) {
        buffer += peer.ReadExactly(length - buffer.size());
      }
      request.body = buffer.substr(0, length);
      buffer.erase(0, length);
      const std::string reply = answer(request);
      if (reply.empty() || !peer.Write(reply)) {
        return;
      }
    }
  };
}

}  // namespace bt::access::testing
