// A message channel whose server is the test: it sees every message and answers with any bytes, late, wrong or never.
//
// Threading: as MessageChannel; Feed, End and the questions may come from any thread. The script runs on the channel's
// thread.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "transport/base/sync.h"
#include "transport/sftp/message_channel.h"
#include "transport/sftp/packet.h"

namespace bt::test {

// A message of the client, decoded as far as its id.
struct SeenRequest {
  sftp::MessageType type{};
  std::uint32_t id = 0;              // INIT: its version
  std::vector<std::byte> arguments;  // behind the id

  sftp::PacketReader Reader() const { return sftp::PacketReader(arguments); }
};

class FakeServerChannel final : public sftp::MessageChannel {
 public:
  // Returns what to feed back, in one piece; empty for nothing.
  using Script = std::function<std::vector<std::byte>(const SeenRequest&)>;

  // Without a script the server is silent.
  explicit FakeServerChannel(Script script = nullptr) : script_(std::move(script)) {}
  ~FakeServerChannel() override;
  FakeServerChannel(const FakeServerChannel&) = delete;
  FakeServerChannel& operator=(const FakeServerChannel&) = delete;

  void Start(Receiver& receiver) override;
  void Send(std::vector<std::byte> message) override;
  void Abort(Error why) override;

  void Feed(std::vector<std::byte> bytes);
  // OnClosed(why, messages_started), after what was fed before.
  void End(Error why, std::uint64_t messages_started);

  // Blocks until the client has sent `count` messages in all (INIT and the question for limits are the first two), and
  // returns them. Fewer after 30 seconds, so that a broken test ends.
  std::vector<SeenRequest> WaitForRequests(std::size_t count);
  // Blocks until the channel was ended, by whomever; nothing after 30 seconds.
  std::optional<Error> WaitForEnd();

 private:
  struct Event {
    std::optional<SeenRequest> request;
    std::vector<std::byte> bytes;
    std::optional<std::pair<Error, std::uint64_t>> end;
  };
  void Run();
  void Post(Event event);

  const Script script_;
  Receiver* receiver_ = nullptr;

  Mutex mutex_;
  CondVar changed_;
  std::deque<Event> events_ GUARDED_BY(mutex_);
  std::vector<SeenRequest> seen_ GUARDED_BY(mutex_);
  std::optional<Error> ended_ GUARDED_BY(mutex_);

  std::jthread thread_;
};

// Replies, whole messages.
std::vector<std::byte> VersionReply(const std::vector<std::pair<std::string, std::string>>& extensions = {},
                                    std::uint32_t version = 3);
std::vector<std::byte> StatusReply(std::uint32_t id, sftp::StatusCode status, std::string_view text = "");
std::vector<std::byte> HandleReply(std::uint32_t id, std::string_view handle);
std::vector<std::byte> DataReply(std::uint32_t id, std::string_view bytes);
// A file of the given size.
std::vector<std::byte> AttrsReply(std::uint32_t id, std::uint64_t size, std::uint32_t mode = 0100644);
struct NameItem {
  std::string name;
  std::optional<std::uint32_t> mode = 0100644;  // nullopt: no attributes at all
};
std::vector<std::byte> NameReply(std::uint32_t id, const std::vector<NameItem>& items,
                                 std::optional<std::uint32_t> claimed_count = std::nullopt);

// Answers INIT and the question for limits as a plain v3 server with `extensions`, and leaves the rest to `script`.
FakeServerChannel::Script GreetingThen(FakeServerChannel::Script script,
                                       std::vector<std::pair<std::string, std::string>> extensions = {});

}  // namespace bt::test
