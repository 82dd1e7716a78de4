#include "transport/access/http_client.h"

#include <array>
#include <cstring>
#include <utility>

#include <fmt/format.h>
#include <openssl/ssl.h>

#include "transport/access/curl_transfer.h"
#include "transport/access/tls_verify.h"
#include "transport/base/units.h"

namespace bt::access {
namespace {

constexpr std::size_t kMaxAnswerBytes = 1_MiB;

// The request's headers; one of them holds the key, so their memory is wiped.
class Headers {
 public:
  Headers() = default;
  ~Headers() {
    for (curl_slist* item = list_; item != nullptr; item = item->next) {
      const std::size_t length = std::strlen(item->data);
      OPENSSL_cleanse(item->data, length);
    }
    curl_slist_free_all(list_);
  }
  Headers(const Headers&) = delete;
  Headers& operator=(const Headers&) = delete;

  void Add(const char* line) {
    if (curl_slist* longer = curl_slist_append(list_, line)) {
      list_ = longer;
    }
  }
  curl_slist* get() const { return list_; }

 private:
  curl_slist* list_ = nullptr;
};

struct Received {
  std::string body;
  bool too_big = false;
};

std::size_t TakeBody(const char* bytes, std::size_t one, std::size_t count, void* to) {
  auto& received = *static_cast<Received*>(to);
  const std::size_t size = one * count;
  if (received.body.size() + size > kMaxAnswerBytes) {
    received.too_big = true;
    return 0;
  }
  received.body.append(bytes, size);
  return size;
}

bool OnThisMachine(std::string_view url) {
  const std::size_t scheme = url.find("://");
  const std::string_view host = scheme == std::string_view::npos ? url : url.substr(scheme + 3);
  return host.starts_with("127.") || host.starts_with("localhost") || host.starts_with("[::1]");
}

Error Unavailable(std::string text, std::string tag) {
  return Error{Code::kUnavailable, std::move(text), std::move(tag), Fate::kNotSent};
}

std::string HostOf(const std::string& url) {
  const std::size_t scheme = url.find("://");
  const std::size_t start = scheme == std::string::npos ? 0 : scheme + 3;
  return url.substr(start, url.find('/', start) - start);
}

// Remembers why a certificate did not verify. libcurl tells only when that is the oldest error in OpenSSL's queue,
// which it is not when the signature is by another key of the same name.
int VerifyAndRemember(X509_STORE_CTX* chain, void* to) {
  const int good = X509_verify_cert(chain);
  *static_cast<long*>(to) = good > 0 ? X509_V_OK : X509_STORE_CTX_get_error(chain);
  return good;
}

CURLcode WatchVerification(CURL* /*easy*/, void* context, void* to) {
  SSL_CTX_set_cert_verify_callback(static_cast<SSL_CTX*>(context), &VerifyAndRemember, to);
  return CURLE_OK;
}

Error Translate(CURLcode code, const char* detail, const std::string& url, const HttpOptions& options, long verify) {
  if (verify != X509_V_OK) {
    return VerificationError(HostOf(url), verify);
  }
  const std::string host = HostOf(url);
  const std::string_view reason = detail[0] != '\0' ? std::string_view(detail) : curl_easy_strerror(code);
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
      return Unavailable(fmt::format("The name {} cannot be resolved ({}). Is this machine online?", host, reason),
                         "access.dns");
    case CURLE_COULDNT_CONNECT:
      return Unavailable(fmt::format("{} cannot be reached ({}). Is this machine online, does a firewall or proxy "
                                     "stand in between?",
                                     host, reason),
                         "access.connect");
    case CURLE_OPERATION_TIMEDOUT:
      return Unavailable(fmt::format("{} did not answer in time ({})", host, reason), "access.http-timeout");
    case CURLE_PEER_FAILED_VERIFICATION:
      return VerificationError(host, X509_V_ERR_HOSTNAME_MISMATCH);  // the chain is good, or we would know
    case CURLE_SSL_CACERT_BADFILE:
      return CaLocationError(options.ca, reason);
    case CURLE_SSL_CONNECT_ERROR:
      return Unavailable(fmt::format("No TLS connection to {} came about ({})", host, reason), "access.tls");
    default:
      return Unavailable(fmt::format("The exchange with {} broke off ({})", host, reason), "access.http");
  }
}

}  // namespace

struct HttpClient::Session {
  long verify = X509_V_OK;  // of the latest handshake; outlives the connections, which point at it
  UniqueMulti multi{curl_multi_init()};
};

HttpClient::HttpClient(HttpOptions options) : options_(std::move(options)) {}
HttpClient::~HttpClient() = default;

std::unique_ptr<HttpClient::Session> HttpClient::Borrow() {
  {
    const MutexLock lock(mutex_);
    if (idle_) {
      return std::move(idle_);
    }
  }
  return std::make_unique<Session>();
}

void HttpClient::GiveBack(std::unique_ptr<Session>& session) {
  const MutexLock lock(mutex_);
  idle_.swap(session);  // what another call left is closed by the caller's `session`, outside of the lock
}

Result<HttpAnswer> HttpClient::Post(const OpContext& ctx, const std::string& url, const Secret& bearer,
                                    const std::string& json_body) {
  TRY(InitCurl());
  std::unique_ptr<Session> session = Borrow();
  const UniqueEasy easy_owner(curl_easy_init());
  CURL* const easy = easy_owner.get();
  if (easy == nullptr || !session->multi) {
    return Error{Code::kInternal, "libcurl is out of memory", "access.curl", Fate::kNotSent};
  }

  Headers headers;
  std::string authorization = fmt::format("Authorization: Bearer {}", bearer.Reveal());
  headers.Add(authorization.c_str());
  Wipe(authorization);
  headers.Add("Content-Type: application/json");
  headers.Add("Accept: application/json");
  headers.Add("Expect:");

  Received received;
  std::array<char, CURL_ERROR_SIZE> detail{};
  SetCommonOptions(easy);
  curl_easy_setopt(easy, CURLOPT_URL, url.c_str());
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(easy, CURLOPT_USERAGENT, "bt-mount/" BT_VERSION);
  curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(json_body.size()));
  curl_easy_setopt(easy, CURLOPT_POSTFIELDS, json_body.c_str());
  curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &TakeBody);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &received);
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, detail.data());
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(options_.connect_timeout.count()));
  curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, static_cast<long>(options_.attempt_timeout.count()));
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
  curl_easy_setopt(easy, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  session->verify = X509_V_OK;
  curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, &WatchVerification);
  curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, &session->verify);
  if (options_.ca.file) {
    curl_easy_setopt(easy, CURLOPT_CAINFO, options_.ca.file->c_str());
  }
  if (options_.ca.directory) {
    curl_easy_setopt(easy, CURLOPT_CAPATH, options_.ca.directory->c_str());
  }
  if (OnThisMachine(url)) {
    curl_easy_setopt(easy, CURLOPT_PROXY, "");  // the environment's proxy is for other machines
  }

  const Result<CURLcode> run = RunTransfer(ctx, session->multi.get(), easy, /*keep=*/false);
  if (!run.ok()) {
    return run.error();  // the session goes, and what it had half done with it
  }
  if (received.too_big) {
    return Error{Code::kProtocol, fmt::format("The answer of {} is larger than 1 MiB", HostOf(url)),
                 "access.http-too-big", Fate::kNotSent};
  }
  if (*run != CURLE_OK) {
    return Translate(*run, detail.data(), url, options_, session->verify);
  }

  HttpAnswer answer;
  long status = 0;
  curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
  answer.status = static_cast<int>(status);
  curl_off_t wait = 0;
  if (curl_easy_getinfo(easy, CURLINFO_RETRY_AFTER, &wait) == CURLE_OK && wait > 0) {
    answer.retry_after = std::chrono::seconds(wait);
  }
  const char* location = nullptr;
  if (curl_easy_getinfo(easy, CURLINFO_REDIRECT_URL, &location) == CURLE_OK && location != nullptr) {
    answer.location = location;
  }
  answer.body = std::move(received.body);
  GiveBack(session);
  return answer;
}

}  // namespace bt::access
