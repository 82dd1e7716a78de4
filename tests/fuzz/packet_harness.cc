#include "tests/fuzz/packet_harness.h"

#include <algorithm>
#include <cstdlib>
#include <vector>

#include "transport/sftp/extensions.h"
#include "transport/sftp/message_splitter.h"
#include "transport/sftp/replies.h"

namespace bt::fuzz {
namespace {

void Require(bool condition) {
  if (!condition) {
    std::abort();
  }
}

// A decoder either yields a value or an error that names its kind; never kInternal.
template <typename T>
void Sane(const Result<T>& result) {
  Require(result.ok() || (result.error().code != Code::kInternal && !result.error().tag.empty()));
}

void DecodeAll(UninitializedBytes message) {
  const Result<sftp::VersionMessage> version = sftp::DecodeVersion(message);
  Sane(version);
  if (version.ok()) {
    sftp::ParseExtensions(*version);
  }
  if (message.size() < sftp::Reply::kHeaderBytes) {
    return;
  }
  const std::size_t size = message.size();
  const sftp::Reply reply(std::move(message));
  Sane(sftp::DecodeStatus(reply));
  Sane(sftp::DecodeAttributes(reply));
  Sane(sftp::DecodeOneName(reply));
  Sane(sftp::DecodeStatvfs(reply));

  const Result<std::string> handle = sftp::DecodeHandle(reply);
  Sane(handle);
  Require(!handle.ok() || handle->size() <= sftp::kMaxHandleBytes);

  const Result<sftp::DataReply> data = sftp::DecodeData(reply);
  Sane(data);
  Require(!data.ok() || data->bytes.size() <= size);

  const Result<sftp::NamesReply> names = sftp::DecodeNames(reply);
  Sane(names);
  if (names.ok()) {
    for (const sftp::NamesReply::Entry& entry : names->entries) {
      Sane(Name::Parse(entry.name));
      Sane(RemotePath::Parse(entry.name));
    }
  }

  const Result<sftp::LimitsReply> limits = sftp::DecodeLimits(reply);
  Sane(limits);
  if (limits.ok()) {
    sftp::ServerFeatures features;
    sftp::ApplyLimits(*limits, features);
    Require(features.max_read >= sftp::ServerFeatures::kMinTransfer);
    Require(features.max_write <= sftp::ServerFeatures::kMaxTransfer);
  }
}

std::vector<UninitializedBytes> Cut(std::span<const std::byte> bytes, std::size_t piece) {
  std::vector<UninitializedBytes> messages;
  sftp::MessageSplitter splitter([&messages](UninitializedBytes message) {
    messages.push_back(std::move(message));
    return Status();
  });
  while (!bytes.empty()) {
    const std::size_t take = std::min(piece, bytes.size());
    if (!splitter.Feed(bytes.first(take)).ok()) {
      break;
    }
    bytes = bytes.subspan(take);
  }
  return messages;
}

}  // namespace

std::size_t FeedServerBytes(std::span<const std::byte> bytes) {
  std::vector<UninitializedBytes> messages = Cut(bytes, bytes.size());
  const std::size_t odd_piece = 7;
  Require(messages == Cut(bytes, odd_piece));
  const std::size_t count = messages.size();
  for (UninitializedBytes& message : messages) {
    DecodeAll(std::move(message));
  }
  return count;
}

}  // namespace bt::fuzz
