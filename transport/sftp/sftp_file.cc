#include "transport/sftp/sftp_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "transport/sftp/errors.h"
#include "transport/sftp/failure_diagnosis.h"

namespace bt::sftp {

Status CheckChange(const AttributeChange& change) {
  constexpr std::int64_t kLastSecond = std::numeric_limits<std::uint32_t>::max();
  if (change.times && (change.times->atime < 0 || change.times->atime > kLastSecond || change.times->mtime < 0 ||
                       change.times->mtime > kLastSecond)) {
    return Error{Code::kInvalid, "SFTP cannot carry times before 1970 or after February 2106", "sftp.time-range",
                 Fate::kNotSent};
  }
  return {};
}

SftpFile::SftpFile(std::shared_ptr<Session> session, std::string handle, RemotePath path, bool append)
    : session_(std::move(session)), handle_(std::move(handle)), path_(std::move(path)), append_(append) {
  session_->NoteHandleOpened();
}

SftpFile::~SftpFile() {
  session_->client().SubmitAndForget(CloseRequest(handle_));
  session_->NoteHandleClosed();
}

void SftpFile::Cut(std::size_t begin, std::size_t end, std::vector<Piece>& pieces) const {
  const std::size_t largest = session_->read_piece();
  while (begin < end) {
    const std::size_t length = std::min(end - begin, largest);
    pieces.push_back(Piece{begin, length, 0});
    begin += length;
  }
}

// A short reply may be the end of the file or a whim of the server; only STATUS EOF is proof. A read across the known
// end is cut there, so that in the same round trip one READ brings the last bytes and the next one the proof.
std::vector<SftpFile::Piece> SftpFile::Split(std::uint64_t offset, std::size_t length) const {
  std::vector<Piece> pieces;
  const std::uint64_t known_size = known_size_.load();
  std::size_t first_part = length;
  if (known_size > offset && known_size - offset < length) {
    first_part = static_cast<std::size_t>(known_size - offset);
  }
  Cut(0, first_part, pieces);
  Cut(first_part, length, pieces);
  return pieces;
}

Result<std::size_t> SftpFile::Read(const OpContext& ctx, std::uint64_t offset, std::span<std::byte> out) {
  TRY(ctx.Check(Fate::kNotSent));
  SftpClient& client = session_->client();
  std::size_t end = out.size();  // the file has no byte here or behind, as far as EOF replies told
  bool saw_end = false;
  std::vector<Piece> missing = Split(offset, out.size());
  while (!missing.empty()) {
    std::vector<Request> requests;
    requests.reserve(missing.size());
    for (const Piece& piece : missing) {
      requests.push_back(ReadRequest(handle_, offset + piece.begin, static_cast<std::uint32_t>(piece.length)));
    }
    std::vector<SftpClient::Call> calls = client.Submit(std::move(requests));

    std::vector<Piece> rest;
    for (std::size_t i = 0; i < missing.size(); ++i) {
      const Piece& piece = missing[i];
      const Reply reply = TRY(calls[i].Await(ctx));
      const Result<DataReply> data = client.Checked(DecodeData(reply));
      if (!data.ok()) {
        return FailureDiagnosis::OnHandle(data.error()).Within(fmt::format("read {}", path_.text()));
      }
      if (data->end_of_file) {
        saw_end = true;
        end = std::min(end, piece.begin);
        continue;
      }
      const std::size_t got = data->bytes.size();
      if (got == 0 || got > piece.length) {
        return client.Checked(Result<std::size_t>(
            Malformed(fmt::format("data reply: {} bytes where {} were asked for", got, piece.length))));
      }
      std::memcpy(out.data() + piece.begin, data->bytes.data(), got);
      if (piece.short_of != 0) {
        session_->NoteShortRead(piece.short_of);
      }
      if (got < piece.length) {
        rest.push_back(Piece{piece.begin + got, piece.length - got, got});
      }
    }
    std::erase_if(rest, [end](const Piece& piece) { return piece.begin >= end; });
    missing = std::move(rest);
  }
  const std::uint64_t reached = offset + end;
  if (saw_end && (end > 0 || known_size_.load() > reached)) {
    known_size_.store(reached);
  } else if (!saw_end && known_size_.load() < reached) {
    known_size_.store(reached);
  }
  return end;
}

std::vector<Request> SftpFile::WriteRequests(std::uint64_t offset, std::span<const std::byte> bytes) const {
  const std::size_t largest = session_->server().max_write;
  std::vector<Request> requests;
  requests.reserve(bytes.size() / largest + 3);
  for (std::size_t begin = 0; begin < bytes.size(); begin += largest) {
    requests.push_back(
        WriteRequest(handle_, offset + begin, bytes.subspan(begin, std::min(largest, bytes.size() - begin))));
  }
  return requests;
}

Status SftpFile::TakeWritten(const OpContext& ctx, std::span<SftpClient::Call> calls, std::uint64_t offset,
                             std::uint64_t length) {
  Status first;
  for (SftpClient::Call& call : calls) {
    Status written = session_->client().Take(ctx, std::move(call), DecodeStatus);
    if (!written.ok() && written.error().fate != Fate::kAnswered) {
      return written;
    }
    if (!written.ok() && first.ok()) {
      first = std::move(written);
    }
  }
  if (!first.ok()) {
    return FailureDiagnosis(ctx, *session_)
        .Write(std::move(first).error(), path_, handle_, length)
        .Within(fmt::format("write {}", path_.text()));
  }
  if (!append_ && known_size_.load() < offset + length) {
    known_size_.store(offset + length);
  }
  return {};
}

Status SftpFile::Write(const OpContext& ctx, std::uint64_t offset, std::span<const std::byte> bytes) {
  TRY(ctx.Check(Fate::kNotSent));
  std::vector<SftpClient::Call> calls = session_->client().Submit(WriteRequests(offset, bytes));
  return TakeWritten(ctx, calls, offset, bytes.size());
}

Result<std::optional<Attributes>> SftpFile::WriteAndChange(const OpContext& ctx, std::uint64_t offset,
                                                           std::span<const std::byte> bytes,
                                                           const AttributeChange& change) {
  if (!session_->server().in_order() || change.size) {
    return RemoteFile::WriteAndChange(ctx, offset, bytes, change);
  }
  TRY(ctx.Check(Fate::kNotSent));
  TRY(CheckChange(change));
  SftpClient& client = session_->client();
  std::vector<Request> requests = WriteRequests(offset, bytes);
  const std::size_t writes = requests.size();
  if (!change.empty()) {
    requests.push_back(FsetstatRequest(handle_, change));
  }
  requests.push_back(FstatRequest(handle_));
  std::vector<SftpClient::Call> calls = client.Submit(std::move(requests));

  Status done = TakeWritten(ctx, std::span(calls).first(writes), offset, bytes.size());
  if (!change.empty() && (done.ok() || done.error().fate == Fate::kAnswered)) {
    Status changed = client.Take(ctx, std::move(calls[writes]), DecodeStatus);
    if (done.ok() && !changed.ok()) {
      done = FailureDiagnosis(ctx, *session_)
                 .SetAttributes(FailureDiagnosis::OnHandle(std::move(changed).error()), path_, change)
                 .Within(fmt::format("change {}", path_.text()));
    }
  }
  TRY(std::move(done));
  const Result<WireAttributes> seen = client.Take(ctx, std::move(calls.back()), DecodeAttributes);
  if (!seen.ok()) {
    if (seen.error().fate == Fate::kAnswered) {
      return std::optional<Attributes>();
    }
    return seen.error();
  }
  if (seen->has_size()) {
    NoteSize(seen->values.size);
  }
  return std::optional(seen->values);
}

Result<Attributes> SftpFile::Stat(const OpContext& ctx) {
  Result<WireAttributes> seen = session_->client().Ask(ctx, FstatRequest(handle_), DecodeAttributes);
  if (!seen.ok()) {
    return FailureDiagnosis::OnHandle(std::move(seen).error()).Within(fmt::format("stat {}", path_.text()));
  }
  if (seen->has_size()) {
    NoteSize(seen->values.size);
  }
  return seen->values;
}

Status SftpFile::SetAttributes(const OpContext& ctx, const AttributeChange& change) {
  if (change.empty()) {
    return {};
  }
  TRY(CheckChange(change));
  Status changed = session_->client().Ask(ctx, FsetstatRequest(handle_, change), DecodeStatus);
  if (!changed.ok()) {
    return FailureDiagnosis(ctx, *session_)
        .SetAttributes(FailureDiagnosis::OnHandle(std::move(changed).error()), path_, change)
        .Within(fmt::format("change {}", path_.text()));
  }
  if (change.size) {
    NoteSize(*change.size);
  }
  return {};
}

Status SftpFile::Sync(const OpContext& ctx) {
  if (!session_->server().fsync) {
    return Error{Code::kUnsupported, "the server has no fsync@openssh.com", "sftp.no-fsync", Fate::kNotSent};
  }
  Status synced = session_->client().Ask(ctx, FsyncRequest(handle_), DecodeStatus);
  if (!synced.ok()) {
    return FailureDiagnosis(ctx, *session_)
        .Write(std::move(synced).error(), path_, handle_, 1)
        .Within(fmt::format("fsync {}", path_.text()));
  }
  return {};
}

}  // namespace bt::sftp
