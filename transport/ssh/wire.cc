#include "transport/ssh/wire.h"

#include <openssl/evp.h>

#include <algorithm>

namespace bt::ssh {

void AppendString(std::vector<std::byte>& out, std::span<const std::byte> bytes) {
  const auto size = static_cast<std::uint32_t>(bytes.size());
  for (int shift = 24; shift >= 0; shift -= 8) {
    out.push_back(static_cast<std::byte>(size >> static_cast<unsigned>(shift)));
  }
  out.insert(out.end(), bytes.begin(), bytes.end());
}

void AppendString(std::vector<std::byte>& out, std::string_view text) {
  AppendString(out, std::as_bytes(std::span(text)));
}

void AppendMpint(std::vector<std::byte>& out, std::span<const std::byte> magnitude) {
  const auto first = std::find_if(magnitude.begin(), magnitude.end(), [](std::byte b) { return b != std::byte{0}; });
  std::vector<std::byte> number(first, magnitude.end());
  if (!number.empty() && (number.front() & std::byte{0x80}) != std::byte{0}) {
    number.insert(number.begin(), std::byte{0});  // else it would read as negative
  }
  AppendString(out, number);
}

std::optional<SecretBytes> DecodeBase64(std::string_view text) {
  SecretBytes digits;
  digits.reserve(text.size());
  for (const char c : text) {
    if (c != ' ' && c != '\t' && c != '\r' && c != '\n') {
      digits.push_back(static_cast<std::byte>(c));
    }
  }
  if (digits.empty() || digits.size() % 4 != 0) {
    return std::nullopt;
  }
  std::size_t padding = 0;
  while (padding < 2 && digits[digits.size() - 1 - padding] == std::byte{'='}) {
    ++padding;
  }
  SecretBytes bytes(digits.size() / 4 * 3);
  const int decoded =
      EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                      reinterpret_cast<const unsigned char*>(digits.data()), static_cast<int>(digits.size()));
  if (decoded < 0 || static_cast<std::size_t>(decoded) < padding) {
    return std::nullopt;
  }
  bytes.resize(static_cast<std::size_t>(decoded) - padding);
  return bytes;
}

std::string EncodeBase64(std::span<const std::byte> bytes) {
  std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');  // EVP_EncodeBlock ends with a NUL
  const int length =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                      reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
  text.resize(static_cast<std::size_t>(length));
  return text;
}

}  // namespace bt::ssh
