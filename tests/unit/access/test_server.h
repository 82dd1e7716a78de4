// A small TLS (or plain TCP) server on the loopback, run by the test itself, and a certificate authority made for it.
//
// Threading: each connection is handled in a thread of its own; the destructor ends all of them and joins.
#pragma once

#include <openssl/ssl.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "transport/base/unique_fd.h"

namespace bt::access::testing {

struct Certificate {
  std::string key_pem;
  std::string certificate_pem;
};

struct CertificateOptions {
  std::string names = "DNS:localhost,IP:127.0.0.1";  // subjectAltName
  std::chrono::seconds valid_from{-3600};            // from now
  std::chrono::seconds valid_to{3600};
};

class TestCa {
 public:
  TestCa();
  ~TestCa();
  Certificate Issue(const CertificateOptions& options = {}) const;
  const std::string& pem() const { return pem_; }

 private:
  EVP_PKEY* key_ = nullptr;
  X509* certificate_ = nullptr;
  std::string pem_;
};

// A directory that goes with its files.
class TempDirectory {
 public:
  TempDirectory();
  ~TempDirectory();
  const std::string& path() const { return path_; }
  std::string Write(const std::string& name, const std::string& text) const;  // returns the whole path

 private:
  std::string path_;
};

// A value that the test and the server's threads share.
template <typename T>
class Shared {
 public:
  T Get() const {
    const std::lock_guard lock(mutex_);
    return value_;
  }
  void Set(T value) {
    const std::lock_guard lock(mutex_);
    value_ = std::move(value);
  }
  void Change(const std::function<void(T&)>& change) {
    const std::lock_guard lock(mutex_);
    change(value_);
  }

 private:
  mutable std::mutex mutex_;
  T value_;
};

// The server's end of one connection. Blocking.
class Peer {
 public:
  Peer(int fd, SSL* ssl) : fd_(fd), ssl_(ssl) {}
  // At most `size` bytes; empty at the end of the stream.
  std::string Read(std::size_t size);
  // Exactly `size` bytes, or fewer at the end.
  std::string ReadExactly(std::size_t size);
  // In one TLS record when it fits. False when the client is gone.
  bool Write(const std::string& bytes);
  void WaitForClientToLeave();
  // Ends the connection with a TCP reset.
  void Reset() const;
  int fd() const { return fd_; }

 private:
  const int fd_;
  SSL* const ssl_;  // null: plain TCP
};

class TestServer {
 public:
  using Handler = std::function<void(Peer&)>;

  // No certificate: plain TCP.
  TestServer(std::optional<Certificate> certificate, Handler handler);
  ~TestServer();
  TestServer(const TestServer&) = delete;
  TestServer& operator=(const TestServer&) = delete;

  std::uint16_t port() const { return port_; }
  int connections() const;

 private:
  void Accept();
  void Serve(int fd);

  const std::optional<Certificate> certificate_;
  const Handler handler_;
  SSL_CTX* context_ = nullptr;
  UniqueFd listener_;
  std::uint16_t port_ = 0;

  mutable std::mutex mutex_;
  bool stopping_ = false;
  int accepted_ = 0;
  std::vector<int> open_;
  std::vector<std::jthread> workers_;
  std::jthread acceptor_;
};

struct HttpRequest {
  std::string target;                          // "POST /v1/..."
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
};

// "HTTP/1.1 <status>\r\n..." with a length; `more` are whole header lines, each with "\r\n".
std::string HttpReply(const std::string& status, const std::string& body, const std::string& more = "");

// Answers each request of a connection, which stays open; an empty answer ends it.
TestServer::Handler ServeHttp(std::function<std::string(const HttpRequest&)> answer);

}  // namespace bt::access::testing
