#include "tests/support/standin/http.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>

namespace bt::standin {
namespace {

constexpr std::size_t kMaxHead = 64U << 10U;
constexpr std::size_t kMaxBody = 4U << 20U;

const char* Reason(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 429:
      return "Too Many Requests";
    case 500:
      return "Internal Server Error";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    default:
      return "Status";
  }
}

std::string Lower(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return std::tolower(c); });
  return lower;
}

std::string_view Trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) {
    text.remove_prefix(1);
  }
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t' || text.back() == '\r')) {
    text.remove_suffix(1);
  }
  return text;
}

}  // namespace

bool HttpReader::Fill() {
  std::array<char, 16384> chunk;
  const std::size_t n = stream_.Read(chunk);
  buffer_.append(chunk.data(), n);
  return n > 0;
}

bool HttpReader::ReadHead(std::string& first_line, std::map<std::string, std::string>& headers) {
  std::size_t end = 0;
  while ((end = buffer_.find("\r\n\r\n")) == std::string::npos) {
    if (buffer_.size() > kMaxHead || !Fill()) {
      return false;
    }
  }
  std::string_view head = std::string_view(buffer_).substr(0, end);
  const auto take_line = [&head] {
    const std::size_t at = head.find("\r\n");
    const std::string_view line = head.substr(0, at);
    head = at == std::string_view::npos ? std::string_view() : head.substr(at + 2);
    return line;
  };
  first_line = take_line();
  while (!head.empty()) {
    const std::string_view line = take_line();
    if (const std::size_t colon = line.find(':'); colon != std::string_view::npos) {
      headers[Lower(line.substr(0, colon))] = Trim(line.substr(colon + 1));
    }
  }
  buffer_.erase(0, end + 4);
  return true;
}

bool HttpReader::ReadBody(const std::map<std::string, std::string>& headers, std::string& body) {
  const auto length = headers.find("content-length");
  if (length == headers.end()) {
    return true;
  }
  std::size_t size = 0;
  const std::string& text = length->second;
  if (std::from_chars(text.data(), text.data() + text.size(), size).ec != std::errc() || size > kMaxBody) {
    return false;
  }
  while (buffer_.size() < size) {
    if (!Fill()) {
      return false;
    }
  }
  body = buffer_.substr(0, size);
  buffer_.erase(0, size);
  return true;
}

std::optional<HttpRequest> HttpReader::ReadRequest() {
  HttpRequest request;
  std::string line;
  if (!ReadHead(line, request.headers)) {
    return std::nullopt;
  }
  const std::size_t first = line.find(' ');
  const std::size_t second = line.rfind(' ');
  if (first == std::string::npos || second == first || !line.substr(second + 1).starts_with("HTTP/1.")) {
    return std::nullopt;
  }
  request.method = line.substr(0, first);
  const std::string target = line.substr(first + 1, second - first - 1);
  request.path = target.substr(0, target.find('?'));
  if (const auto expect = request.headers.find("expect"); expect != request.headers.end()) {
    stream_.WriteAll("HTTP/1.1 100 Continue\r\n\r\n");
  }
  if (!ReadBody(request.headers, request.body)) {
    return std::nullopt;
  }
  return request;
}

std::optional<HttpResponse> HttpReader::ReadResponse() {
  HttpResponse response;
  std::string line;
  if (!ReadHead(line, response.headers) || line.size() < 12 || !line.starts_with("HTTP/1.")) {
    return std::nullopt;
  }
  std::from_chars(line.data() + 9, line.data() + 12, response.status);
  if (!ReadBody(response.headers, response.body)) {
    return std::nullopt;
  }
  return response;
}

std::string Format(const HttpResponse& response, bool keep_alive) {
  std::string text = fmt::format("HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: {}\r\n",
                                 response.status, Reason(response.status), response.content_type, response.body.size(),
                                 keep_alive ? "keep-alive" : "close");
  for (const auto& [name, value] : response.headers) {
    text += fmt::format("{}: {}\r\n", name, value);
  }
  return text + "\r\n" + response.body;
}

}  // namespace bt::standin
