#include "transport/sftp/directory_reader.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <deque>

#include "transport/sftp/errors.h"

namespace bt::sftp {
namespace {

constexpr std::size_t kFirstBatch = 4;
constexpr std::size_t kWidestBatch = 64;
constexpr std::size_t kLstatBatch = 256;
constexpr std::size_t kMaxEntries = 4U << 20U;      // a server that never says "end" must not fill the memory
constexpr unsigned kMaxRepliesWithoutEntries = 64;  // in a row, for the same reason

class DirectoryReader {
 public:
  DirectoryReader(const OpContext& ctx, Session& session, const RemotePath& path)
      : ctx_(ctx), session_(session), path_(path) {}

  Result<std::vector<DirEntry>> Run() {
    std::string opened = TRY(session_.client().Ask(ctx_, OpendirRequest(path_.text()), DecodeHandle));
    {
      const ScopedHandle handle(session_.client(), std::move(opened));
      TRY(ReadAll(handle.get()));
    }
    TRY(FillIn());
    ReportBadNames();
    return std::move(entries_);
  }

 private:
  Status ReadAll(const std::string& handle) {
    SftpClient& client = session_.client();
    std::deque<SftpClient::Call> on_the_way;
    std::size_t batch = kFirstBatch;
    std::size_t refill_at = 0;
    for (;;) {
      if (on_the_way.size() <= refill_at) {
        std::vector<Request> requests(batch, ReaddirRequest(handle));
        std::vector<SftpClient::Call> calls = client.Submit(std::move(requests));
        std::move(calls.begin(), calls.end(), std::back_inserter(on_the_way));
        refill_at = batch / 2;
        batch = std::min(batch * 2, kWidestBatch);
      }
      SftpClient::Call call = std::move(on_the_way.front());
      on_the_way.pop_front();
      const Reply reply = TRY(call.Await(ctx_));
      const NamesReply names = TRY(client.Checked(DecodeNames(reply)));
      if (names.end_of_directory) {
        return {};
      }
      TRY(client.Checked(Add(names)));
    }
  }

  Status Add(const NamesReply& names) {
    replies_without_entries_ = names.entries.empty() ? replies_without_entries_ + 1 : 0;
    if (replies_without_entries_ > kMaxRepliesWithoutEntries) {
      return Malformed("listing: it has no names and no end");
    }
    if (entries_.size() + names.entries.size() > kMaxEntries) {
      return Error{Code::kTooBig, fmt::format("the directory has more than {} entries", kMaxEntries),
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
    for (auto index = gone.rbegin(); index != gone.rend(); ++index) {
      entries_.erase(entries_.begin() + static_cast<std::ptrdiff_t>(*index));
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

  std::vector<DirEntry> entries_;
  std::vector<std::size_t> incomplete_;  // indices of entries without a kind
  unsigned replies_without_entries_ = 0;
  std::size_t bad_names_ = 0;
  std::string first_bad_name_;
};

}  // namespace

Result<std::vector<DirEntry>> ListDirectory(const OpContext& ctx, Session& session, const RemotePath& path) {
  return DirectoryReader(ctx, session, path).Run();
}

}  // namespace bt::sftp
