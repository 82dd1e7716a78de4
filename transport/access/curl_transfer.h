// Owners of libcurl handles, and the loop that drives one transfer under an OpContext.
//
// Threading: a handle belongs to one thread at a time.
#pragma once

#include <memory>

#include <curl/curl.h>

#include "transport/base/op_context.h"
#include "transport/base/socket_options.h"

namespace bt::access {

struct FreeEasy {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};
struct FreeMulti {
  void operator()(CURLM* multi) const {
    const SigpipeGuard no_sigpipe;  // says good-bye on TLS connections that are still open
    curl_multi_cleanup(multi);
  }
};
using UniqueEasy = std::unique_ptr<CURL, FreeEasy>;
using UniqueMulti = std::unique_ptr<CURLM, FreeMulti>;

// Initialises libcurl once in the process. kInternal when it cannot.
Status InitCurl();

// What every transfer of ours has: no signals, no environment's proxy for this machine's own addresses, abandoned name
// look-ups that are not waited for.
void SetCommonOptions(CURL* easy);

// Runs `easy` on `multi` to its end: libcurl's result, or the context's kTimedOut or kInterrupted. After success `keep`
// leaves `easy` on `multi`, for CURLOPT_CONNECT_ONLY: libcurl would close the connection otherwise.
Result<CURLcode> RunTransfer(const OpContext& ctx, CURLM* multi, CURL* easy, bool keep);

}  // namespace bt::access
