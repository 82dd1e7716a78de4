// As much HTTP/1.1 as a JSON API needs: Content-Length bodies and keep-alive.
//
// Threading: plain functions and values; reading and writing block.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "tests/support/standin/tls_stream.h"

namespace bt::standin {

struct HttpRequest {
  std::string method;
  std::string path;                            // without the query
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
};

struct HttpResponse {
  int status = 200;
  std::string body;
  std::string content_type = "application/json";
  std::map<std::string, std::string> headers;  // further ones
};

// Reads whole messages from a stream and keeps what belongs to the next one.
class HttpReader {
 public:
  explicit HttpReader(TlsStream& stream) : stream_(stream) {}

  // Nothing at the end of the stream, or when the peer does not speak HTTP.
  std::optional<HttpRequest> ReadRequest();
  // A client's: Content-Length, or the rest of the stream.
  std::optional<HttpResponse> ReadResponse();

 private:
  bool ReadHead(std::string& first_line, std::map<std::string, std::string>& headers);
  bool ReadBody(const std::map<std::string, std::string>& headers, std::string& body);
  bool Fill();

  TlsStream& stream_;
  std::string buffer_;
};

std::string Format(const HttpResponse& response, bool keep_alive);

}  // namespace bt::standin
