// Reply against libfuse itself, with a device in memory: requests are written as the kernel writes them, answers are
// read as the kernel reads them.
#include "fs/fuse/reply.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/fuse.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "fs/fuse/call.h"
#include "tests/support/fake_remote_fs/fake_remote_fs.h"

namespace bt::fuse {
namespace {

struct Answered {
  int error = 0;
  std::vector<char> body;
  int times = 0;
};

// The device: what was answered, by request. libfuse's hooks carry no pointer that reaches here.
std::map<std::uint64_t, Answered>* answers = nullptr;

ssize_t RecordAnswer(int /*fd*/, iovec* iov, int count, void* /*data*/) {
  std::vector<char> bytes;
  for (int i = 0; i < count; ++i) {
    const auto* const from = static_cast<const char*>(iov[i].iov_base);
    bytes.insert(bytes.end(), from, from + iov[i].iov_len);
  }
  fuse_out_header header{};
  std::memcpy(&header, bytes.data(), sizeof header);
  Answered& answered = (*answers)[header.unique];
  answered.error = -header.error;
  answered.body.assign(bytes.begin() + sizeof header, bytes.end());
  ++answered.times;
  return static_cast<ssize_t>(bytes.size());
}

ssize_t NothingToRead(int /*fd*/, void* /*buffer*/, std::size_t /*size*/, void* /*data*/) {
  errno = ENODEV;
  return -1;
}

std::function<void(fuse_req_t)>* on_lookup = nullptr;

class ReplyTest : public testing::Test {
 protected:
  ReplyTest() {
    answers = &answers_;
    on_lookup = &on_lookup_;
    std::string name = "test";
    std::array<char*, 1> argv{name.data()};
    fuse_args arguments = FUSE_ARGS_INIT(1, argv.data());
    fuse_lowlevel_ops ops{};
    ops.lookup = [](fuse_req_t request, fuse_ino_t /*parent*/, const char* /*name*/) { (*on_lookup)(request); };
    session_.reset(fuse_session_new(&arguments, &ops, sizeof ops, &border_));
    fuse_opt_free_args(&arguments);
    fuse_custom_io io{};
    io.writev = RecordAnswer;
    io.read = NothingToRead;
    EXPECT_EQ(fuse_session_custom_io(session_.get(), &io, ::open("/dev/null", O_RDWR | O_CLOEXEC)), 0);
    fuse_init_in init{};
    init.major = FUSE_KERNEL_VERSION;
    init.minor = 31;
    Send(FUSE_INIT, 1, &init, sizeof init);
  }
  ~ReplyTest() override {
    session_.reset();
    answers = nullptr;
    on_lookup = nullptr;
  }

  void Send(std::uint32_t opcode, std::uint64_t unique, const void* body, std::size_t size) {
    fuse_in_header header{};
    header.len = static_cast<std::uint32_t>(sizeof header + size);
    header.opcode = opcode;
    header.unique = unique;
    header.nodeid = FUSE_ROOT_ID;
    std::vector<char> bytes(header.len);
    std::memcpy(bytes.data(), &header, sizeof header);
    std::memcpy(bytes.data() + sizeof header, body, size);
    fuse_buf buffer{};
    buffer.mem = bytes.data();
    buffer.size = bytes.size();
    fuse_session_process_buf(session_.get(), &buffer);
  }
  void SendLookup(std::uint64_t unique) { Send(FUSE_LOOKUP, unique, "name", 5); }
  void SendInterrupt(std::uint64_t unique) {
    fuse_interrupt_in body{};
    body.unique = unique;
    Send(FUSE_INTERRUPT, unique + 1, &body, sizeof body);
  }

  struct Closer {
    void operator()(fuse_session* session) const { fuse_session_destroy(session); }
  };

  FakeRemoteFs remote_;
  Filesystem filesystem_{remote_, {}};
  OperationPool pool_{{}};
  InterruptRegistry interrupts_;
  ReplyCounters counters_;
  Border border_{filesystem_, pool_, interrupts_, counters_, {}, {}, nullptr};
  std::map<std::uint64_t, Answered> answers_;
  std::function<void(fuse_req_t)> on_lookup_;
  std::unique_ptr<fuse_session, Closer> session_;
};

TEST_F(ReplyTest, DroppedWithoutAnAnswerSaysEio) {
  on_lookup_ = [this](fuse_req_t request) { const Reply dropped(request, {"lookup"}, counters_); };
  SendLookup(10);
  EXPECT_EQ(answers_[10].error, EIO);
  EXPECT_EQ(answers_[10].times, 1);
  EXPECT_EQ(counters_.forgotten.load(), 1U);
}

TEST_F(ReplyTest, SecondAnswerReachesNobody) {
  on_lookup_ = [this](fuse_req_t request) {
    Reply reply(request, {"lookup"}, counters_);
    EXPECT_TRUE(reply.Done({}));
    EXPECT_FALSE(reply.Done({}));
    EXPECT_FALSE(reply.Failed(Error{Code::kFailure, "late", "test"}));
  };
  SendLookup(10);
  EXPECT_EQ(answers_[10].error, 0);
  EXPECT_EQ(answers_[10].times, 1);
  EXPECT_EQ(counters_.forgotten.load(), 0U);
}

TEST_F(ReplyTest, ThrownExceptionIsTheAnswerToItsRequest) {
  on_lookup_ = [](fuse_req_t request) { Here(request, {"lookup"}, [](Call& /*call*/) { throw std::bad_alloc(); }); };
  SendLookup(10);
  EXPECT_EQ(answers_[10].error, EIO);
  EXPECT_EQ(answers_[10].times, 1);
  EXPECT_EQ(counters_.forgotten.load(), 0U);
}

TEST_F(ReplyTest, AbsentNameIsAnEntryWithoutInode) {
  on_lookup_ = [this](fuse_req_t request) {
    Reply reply(request, {"lookup"}, counters_);
    EXPECT_FALSE(reply.LookedUp(Error{Code::kNotFound, "", "test"}, std::chrono::milliseconds(2500)));
  };
  SendLookup(10);
  ASSERT_EQ(answers_[10].error, 0);
  fuse_entry_out out{};
  ASSERT_EQ(answers_[10].body.size(), sizeof out);
  std::memcpy(&out, answers_[10].body.data(), sizeof out);
  EXPECT_EQ(out.nodeid, 0U);
  EXPECT_EQ(out.entry_valid, 2U);
  EXPECT_EQ(out.entry_valid_nsec, 500'000'000U);
}

TEST_F(ReplyTest, OtherErrorsOfALookupAreNotCached) {
  on_lookup_ = [this](fuse_req_t request) {
    Reply reply(request, {"lookup"}, counters_);
    reply.LookedUp(Error{Code::kDisconnected, "", "test"}, std::chrono::seconds(1));
  };
  SendLookup(10);
  EXPECT_EQ(answers_[10].error, EIO);
}

TEST_F(ReplyTest, CopyThatTheServerCannotDoIsLeftToTheKernel) {
  on_lookup_ = [this](fuse_req_t request) {
    Reply reply(request, {"copy"}, counters_);
    reply.Copied(Error{Code::kUnsupported, "", "test"});
  };
  SendLookup(10);
  EXPECT_EQ(answers_[10].error, ENOSYS);
}

TEST_F(ReplyTest, InterruptStopsTheTokenOfAWaitingRequest) {
  std::unique_ptr<Reply> reply;
  std::stop_token token;
  on_lookup_ = [&](fuse_req_t request) {
    reply = std::make_unique<Reply>(request, Subject{"lookup"}, counters_);
    token = reply->AllowInterrupt(interrupts_);
  };
  SendLookup(10);
  EXPECT_FALSE(token.stop_requested());
  SendInterrupt(10);
  EXPECT_TRUE(token.stop_requested());
  reply->Failed(Error{Code::kInterrupted, "", "test"});
  EXPECT_EQ(answers_[10].error, EINTR);
  EXPECT_EQ(counters_.interrupted.load(), 1U);
  EXPECT_EQ(interrupts_.size(), 0U);
}

TEST_F(ReplyTest, InterruptThatOvertakesItsRequestIsNotLost) {
  std::stop_token token;
  on_lookup_ = [&](fuse_req_t request) {
    Reply reply(request, {"lookup"}, counters_);
    token = reply.AllowInterrupt(interrupts_);
    reply.Done({});
  };
  SendInterrupt(10);
  SendLookup(10);
  EXPECT_TRUE(token.stop_requested());
}

TEST_F(ReplyTest, InterruptAfterTheAnswerReachesNobody) {
  std::stop_token token;
  on_lookup_ = [&](fuse_req_t request) {
    Reply reply(request, {"lookup"}, counters_);
    token = reply.AllowInterrupt(interrupts_);
    reply.Done({});
  };
  SendLookup(10);
  SendInterrupt(10);
  EXPECT_FALSE(token.stop_requested());
  SendLookup(20);  // libfuse keeps the interrupt until the next request and does not free it otherwise
}

TEST(Subject, IsDescribedAsFarAsKnown) {
  EXPECT_EQ(Describe(Subject{"getattr", InodeNo{7}}), "getattr #7");
  EXPECT_EQ(Describe(Subject{"lookup", kRootInode, "a\nb"}), "lookup #1/a\\x0ab");
  EXPECT_EQ(Describe(Subject{"read", InodeNo{7}, {}, Subject::Range{4096, 131072}}), "read #7 @4096+131072");
}

}  // namespace
}  // namespace bt::fuse
