#include "transport/sftp/directory_reader.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <deque>
#include <optional>
#include <utility>

#include "transport/sftp/errors.h"

namespace bt::sftp {
namespace {

constexpr std::size_t kFirstBatch = 4;
constexpr std::size_t kWidestBatch = 64;
constexpr std::size_t kNamesOfAReply = 100;
constexpr std::size_t kDirectoriesAtATime = 64;
constexpr std::size_t kLstatBatch = 256;
constexpr std::size_t kMaxEntries = 4U << 20U;      // a server that never says "end" must not fill the memory
constexpr unsigned kMaxRepliesWithoutEntries = 64;  // in a row, for the same reason

// Begin(), Opened() and Finish(), in this order: each sends something, and the next awaits the answer.
class DirectoryReader {
 public:
  DirectoryReader(const OpContext& ctx, Session& session, const RemotePath& path, std::size_t first_batch,
                  std::size_t max_entries)
      : ctx_(ctx),
        session_(session),
        path_(path),
        batch_(first_batch),
        to_measure_(first_batch != kFirstBatch),
        max_entries_(max_entries) {}

  Request OpenRequest() const { return OpendirRequest(path_.text()); }

  Status Opened(SftpClient::Call opening) {
    handle_.emplace(session_.client(), TRY(session_.client().Take(ctx_, std::move(opening), DecodeHandle)));
    SendBatch();
    return {};
  }

  Result<DirectoryListing> Finish() {
    TRY(ReadAll());
    on_the_way_.clear();
    handle_.reset();
    TRY(FillIn());
    ReportBadNames();
    return DirectoryListing{std::move(entries_), directory_};
  }

 private:
  // READDIRs, and behind them a look at the directory as the server has it at that path then.
  struct Batch {
    std::deque<SftpClient::Call> readdirs;
    SftpClient::Call look;
  };

  void SendBatch() {
    std::vector<Request> requests(batch_, ReaddirRequest(handle_->get()));
    requests.push_back(LstatRequest(path_.is_root() ? "/." : path_.text() + "/."));
    std::vector<SftpClient::Call> calls = session_.client().Submit(std::move(requests));
    Batch& batch = on_the_way_.emplace_back(Batch{{}, std::move(calls.back())});
    calls.pop_back();
    std::move(calls.begin(), calls.end(), std::back_inserter(batch.readdirs));
    readdirs_on_the_way_ += batch.readdirs.size();
    // A batch that was made to measure is enough, most likely; the others are meant to keep the link busy.
    refill_at_ = std::exchange(to_measure_, false) ? 0 : batch_ / 2;
    batch_ = std::min(batch_ * 2, kWidestBatch);
  }

  Status ReadAll() {
    SftpClient& client = session_.client();
    for (;;) {
      if (readdirs_on_the_way_ <= refill_at_) {
        SendBatch();
      }
      if (on_the_way_.front().readdirs.empty()) {
        on_the_way_.pop_front();
      }
      std::deque<SftpClient::Call>& readdirs = on_the_way_.front().readdirs;
      SftpClient::Call call = std::move(readdirs.front());
      readdirs.pop_front();
      --readdirs_on_the_way_;
      const Reply reply = TRY(call.Await(ctx_));
      const NamesReply names = TRY(client.Checked(DecodeNames(reply)));
      if (names.end_of_directory) {
        return LookBack();
      }
      TRY(client.Checked(Add(names)));
    }
  }

  // OpenSSH leaves out of a listing, without a word, each entry that lstat() cannot find at the path that the directory
  // was opened by: all that are left once it has been renamed, and every one of a directory that may be read but not
  // searched. "." is such an entry, so a path at which it is found behind the last READDIR had the others, too.
  Status LookBack() {
    const WireAttributes seen =
        TRY(session_.client().Take(ctx_, std::move(on_the_way_.front().look), DecodeAttributes));
    if (seen.has_permissions()) {
      directory_ = seen.values;
    }
    return {};
  }

  Status Add(const NamesReply& names) {
    replies_without_entries_ = names.entries.empty() ? replies_without_entries_ + 1 : 0;
    if (replies_without_entries_ > kMaxRepliesWithoutEntries) {
      return Malformed("listing: it has no names and no end");
    }
    if (entries_.size() + names.entries.size() > max_entries_) {
      return Error{Code::kTooBig, fmt::format("the directory has more than {} entries", max_entries_),
                   "sftp.directory-too-big"};
    }
    for (const NamesReply::Entry& entry : names.entries) {
      if (entry.name == "." || entry.name == "..") {
        continue;
      }
      Result<Name> name = Name::Parse(entry.name);
      if (!name.ok()) {
        if (bad_names_++ == 0) {
          first_bad_name_ = Printable(entry.name);
        }
        continue;
      }
      if (!entry.attributes.has_permissions()) {
        incomplete_.push_back(entries_.size());
      }
      entries_.push_back(DirEntry{std::move(name).value(), entry.attributes.values});
    }
    return {};
  }

  // Asks for what the listing left out. An entry that is gone meanwhile is dropped; one that cannot be asked for stays,
  // of unknown kind.
  Status FillIn() {
    std::vector<std::size_t> gone;
    for (std::size_t begin = 0; begin < incomplete_.size(); begin += kLstatBatch) {
      const std::size_t end = std::min(begin + kLstatBatch, incomplete_.size());
      std::vector<Request> requests;
      for (std::size_t i = begin; i < end; ++i) {
        requests.push_back(LstatRequest((path_ / entries_[incomplete_[i]].name).text()));
      }
      std::vector<SftpClient::Call> calls = session_.client().Submit(std::move(requests));
      for (std::size_t i = begin; i < end; ++i) {
        Result<WireAttributes> seen = session_.client().Take(ctx_, std::move(calls[i - begin]), DecodeAttributes);
        if (seen.ok()) {
          entries_[incomplete_[i]].attributes = seen->values;
        } else if (seen.error().fate != Fate::kAnswered) {
          return std::move(seen).error();
        } else if (seen.error().code == Code::kNotFound) {
          gone.push_back(incomplete_[i]);
        }
      }
    }
    std::ranges::reverse(gone);  // each leaves the indices before it as they are
    for (const std::size_t index : gone) {
      entries_.erase(entries_.begin() + static_cast<std::ptrdiff_t>(index));
    }
    return {};
  }

  void ReportBadNames() {
    if (bad_names_ > 0 && session_.ShouldReportBadNames()) {
      spdlog::warn("{}: left out {} names that no file can have, the first is \"{}\" [sftp.bad-name]", path_.text(),
                   bad_names_, first_bad_name_);
    }
  }

  const OpContext& ctx_;
  Session& session_;
  const RemotePath& path_;
  std::size_t batch_;  // READDIRs sent together, the next time
  bool to_measure_;    // the next batch is as large as the directory is thought to be
  const std::size_t max_entries_;

  std::optional<ScopedHandle> handle_;
  std::deque<Batch> on_the_way_;
  std::size_t readdirs_on_the_way_ = 0;
  std::size_t refill_at_ = 0;  // this few on the way: time for the next batch
  std::vector<DirEntry> entries_;
  std::optional<Attributes> directory_;
  std::vector<std::size_t> incomplete_;  // indices of entries without a kind
  unsigned replies_without_entries_ = 0;
  std::size_t bad_names_ = 0;
  std::string first_bad_name_;
};

// As many READDIRs as OpenSSH (100 names a reply) needs, the one that tells the end among them.
std::size_t BatchFor(std::size_t expected_entries) {
  return std::min(expected_entries / kNamesOfAReply + 2, kWidestBatch);
}

// A few at a time, so that not too many handles are open and one caller's questions are not all before another's.
std::size_t DirectoriesAtATime(const Session& session) {
  const std::uint64_t max_handles = session.server().max_handles;
  return max_handles == 0
             ? kDirectoriesAtATime
             : static_cast<std::size_t>(std::clamp<std::uint64_t>(max_handles / 4, 1, kDirectoriesAtATime));
}

}  // namespace

Result<std::vector<DirEntry>> ListDirectory(const OpContext& ctx, Session& session, const RemotePath& path) {
  TRY(ctx.Check(Fate::kNotSent));
  DirectoryReader reader(ctx, session, path, kFirstBatch, kMaxEntries);
  TRY(reader.Opened(session.client().Submit(reader.OpenRequest())));
  return TRY(reader.Finish()).entries;
}

Status ListDirectories(const OpContext& ctx, Session& session, std::span<const DirectoryQuery> queries,
                       std::size_t max_entries, const RemoteFs::Listed& listed) {
  const std::size_t step = DirectoriesAtATime(session);
  for (std::size_t begin = 0; begin < queries.size(); begin += step) {
    TRY(ctx.Check(Fate::kNotSent));
    const std::size_t count = std::min(step, queries.size() - begin);
    std::deque<DirectoryReader> readers;  // stay where they are
    std::vector<Request> requests;
    for (const DirectoryQuery& query : queries.subspan(begin, count)) {
      readers.emplace_back(ctx, session, query.path, BatchFor(query.expected_entries),
                           std::min(max_entries, kMaxEntries));
      requests.push_back(readers.back().OpenRequest());
    }
    std::vector<SftpClient::Call> calls = session.client().Submit(std::move(requests));
    std::vector<Status> opened(count);
    for (std::size_t i = 0; i < count; ++i) {
      opened[i] = readers[i].Opened(std::move(calls[i]));
    }
    for (std::size_t i = 0; i < count; ++i) {
      Result<DirectoryListing> listing = opened[i].ok() ? readers[i].Finish() : opened[i].error();
      if (!listing.ok() && listing.error().fate != Fate::kAnswered) {
        return std::move(listing).error();
      }
      listed(begin + i, std::move(listing));
    }
  }
  return {};
}

}  // namespace bt::sftp
