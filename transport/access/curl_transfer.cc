#include "transport/access/curl_transfer.h"

namespace bt::access {
namespace {

Error Internal(const char* what) { return Error{Code::kInternal, what, "access.curl", Fate::kNotSent}; }

// Removes the handle whatever the way out: libcurl forbids to free an easy handle that is still on a multi handle.
class Attached {
 public:
  Attached(CURLM* multi, CURL* easy) : multi_(multi), easy_(easy) {}
  ~Attached() {
    if (easy_ != nullptr) {
      curl_multi_remove_handle(multi_, easy_);
    }
  }
  Attached(const Attached&) = delete;
  Attached& operator=(const Attached&) = delete;
  void Keep() { easy_ = nullptr; }

 private:
  CURLM* multi_;
  CURL* easy_;
};

}  // namespace

Status InitCurl() {
  static const CURLcode kInitialised = curl_global_init(CURL_GLOBAL_DEFAULT);
  return kInitialised == CURLE_OK ? Status() : Status(Internal("libcurl cannot be initialised"));
}

void SetCommonOptions(CURL* easy) {
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
#if LIBCURL_VERSION_NUM >= 0x075700
  // Without it, cancelling during getaddrinfo() waits for that to return, which may take half a minute.
  curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
#endif
}

Result<CURLcode> RunTransfer(const OpContext& ctx, CURLM* multi, CURL* easy, bool keep) {
  TRY(ctx.Check());
  const SigpipeGuard no_sigpipe;
  if (curl_multi_add_handle(multi, easy) != CURLM_OK) {
    return Internal("libcurl does not take the transfer");
  }
  Attached attached(multi, easy);
  // curl_multi_wakeup is the one call that another thread may make.
  const std::stop_callback wake(ctx.cancel, [multi] { curl_multi_wakeup(multi); });

  while (true) {
    int running = 0;
    if (curl_multi_perform(multi, &running) != CURLM_OK) {
      return Internal("libcurl cannot go on with the transfer");
    }
    int queued = 0;
    while (const CURLMsg* message = curl_multi_info_read(multi, &queued)) {
      if (message->msg == CURLMSG_DONE && message->easy_handle == easy) {
        const CURLcode code = message->data.result;
        if (keep && code == CURLE_OK) {
          attached.Keep();
        }
        return code;
      }
    }
    // After perform, so that a finished transfer wins over a deadline that passed meanwhile.
    TRY(ctx.Check());
    constexpr std::chrono::milliseconds kLongest{1000};
    curl_multi_poll(multi, nullptr, 0, static_cast<int>(ctx.Remaining(kLongest).count()), nullptr);
  }
}

}  // namespace bt::access
