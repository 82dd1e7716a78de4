#include "tests/support/sftp_pipe/fake_server_channel.h"

#include <chrono>

#include "transport/base/thread_name.h"

namespace bt::test {
namespace {

using sftp::MessageType;
using sftp::PacketWriter;

constexpr std::chrono::seconds kPatience(30);

SeenRequest Parse(std::span<const std::byte> message) {
  SeenRequest request;
  sftp::PacketReader reader(message);
  reader.U32();
  request.type = static_cast<MessageType>(reader.U8());
  request.id = reader.U32();
  const std::span<const std::byte> rest = message.last(reader.remaining());
  request.arguments.assign(rest.begin(), rest.end());
  return request;
}

}  // namespace

FakeServerChannel::~FakeServerChannel() {
  Abort(Error{Code::kDisconnected, "the channel was destroyed", "test.fake"});
  if (thread_.joinable()) {
    thread_.join();
  }
}

void FakeServerChannel::Start(Receiver& receiver) {
  receiver_ = &receiver;
  thread_ = std::jthread([this] { Run(); });
}

void FakeServerChannel::Post(Event event) {
  MutexLock lock(mutex_);
  if (event.request) {
    seen_.push_back(*event.request);
  }
  events_.push_back(std::move(event));
  changed_.NotifyAll();
}

void FakeServerChannel::Send(std::vector<std::byte> message) { Post(Event{Parse(message), {}, {}}); }

void FakeServerChannel::Feed(std::vector<std::byte> bytes) { Post(Event{{}, std::move(bytes), {}}); }

void FakeServerChannel::End(Error why, std::uint64_t messages_started) {
  Post(Event{{}, {}, std::pair(std::move(why), messages_started)});
}

void FakeServerChannel::Abort(Error why) {
  std::uint64_t started = 0;
  {
    MutexLock lock(mutex_);
    started = seen_.size();
  }
  End(std::move(why), started);
}

std::vector<SeenRequest> FakeServerChannel::WaitForRequests(std::size_t count) {
  const TimePoint deadline = Clock::now() + kPatience;
  MutexLock lock(mutex_);
  while (seen_.size() < count && Clock::now() < deadline) {
    changed_.WaitUntil(mutex_, deadline);
  }
  return seen_;
}

std::optional<Error> FakeServerChannel::WaitForEnd() {
  const TimePoint deadline = Clock::now() + kPatience;
  MutexLock lock(mutex_);
  while (!ended_ && Clock::now() < deadline) {
    changed_.WaitUntil(mutex_, deadline);
  }
  return ended_;
}

void FakeServerChannel::Run() {
  SetThreadName("test-sftp-fake");
  for (;;) {
    Event event;
    {
      MutexLock lock(mutex_);
      while (events_.empty()) {
        changed_.Wait(mutex_);
      }
      event = std::move(events_.front());
      events_.pop_front();
    }
    if (event.request && script_) {
      event.bytes = script_(*event.request);
    }
    if (!event.bytes.empty()) {
      receiver_->OnBytes(event.bytes);
    }
    if (event.end) {
      receiver_->OnClosed(event.end->first, event.end->second);
      MutexLock lock(mutex_);
      ended_ = event.end->first;
      changed_.NotifyAll();
      return;
    }
  }
}

std::vector<std::byte> VersionReply(const std::vector<std::pair<std::string, std::string>>& extensions,
                                    std::uint32_t version) {
  PacketWriter writer(MessageType::kVersion, 4);
  writer.U32(version);
  for (const auto& [name, data] : extensions) {
    writer.String(name).String(data);
  }
  return writer.Take();
}

std::vector<std::byte> StatusReply(std::uint32_t id, sftp::StatusCode status, std::string_view text) {
  return PacketWriter(MessageType::kStatus, 16)
      .U32(id)
      .U32(static_cast<std::uint32_t>(status))
      .String(text)
      .String("")
      .Take();
}

std::vector<std::byte> HandleReply(std::uint32_t id, std::string_view handle) {
  return PacketWriter(MessageType::kHandle, 16).U32(id).String(handle).Take();
}

std::vector<std::byte> DataReply(std::uint32_t id, std::string_view bytes) {
  return PacketWriter(MessageType::kData, 8 + bytes.size()).U32(id).String(bytes).Take();
}

std::vector<std::byte> AttrsReply(std::uint32_t id, std::uint64_t size, std::uint32_t mode) {
  AttributeChange attributes;
  attributes.size = size;
  attributes.permissions = mode;
  return PacketWriter(MessageType::kAttrs, 32).U32(id).Change(attributes).Take();
}

std::vector<std::byte> NameReply(std::uint32_t id, const std::vector<NameItem>& items,
                                 std::optional<std::uint32_t> claimed_count) {
  PacketWriter writer(MessageType::kName, 64);
  writer.U32(id).U32(claimed_count.value_or(static_cast<std::uint32_t>(items.size())));
  for (const NameItem& item : items) {
    AttributeChange attributes;
    attributes.permissions = item.mode;
    writer.String(item.name).String("-rw-r--r-- 1 a b 0 Jan 1 1970 " + item.name).Change(attributes);
  }
  return writer.Take();
}

FakeServerChannel::Script GreetingThen(FakeServerChannel::Script script,
                                       std::vector<std::pair<std::string, std::string>> extensions) {
  return [script = std::move(script), extensions = std::move(extensions)](const SeenRequest& request) {
    if (request.type == MessageType::kInit) {
      return VersionReply(extensions);
    }
    if (request.type == MessageType::kExtended && request.Reader().String() == sftp::kExtLimits) {
      return StatusReply(request.id, sftp::StatusCode::kOpUnsupported);
    }
    return script ? script(request) : std::vector<std::byte>();
  };
}

}  // namespace bt::test
