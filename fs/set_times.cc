#include "fs/set_times.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <system_error>
#include <vector>

#include <spdlog/spdlog.h>

namespace bt {
namespace {

constexpr std::string_view kMagic = "btmtime1";
constexpr std::size_t kHeaderBytes = sizeof(std::uint32_t) + sizeof(std::uint64_t);
constexpr std::size_t kMaxBodyBytes = 64 * 1024;  // two paths of the longest kind, and some
constexpr std::uint64_t kWorthRewriting = 1000;   // outdated records

template <typename T>
void Put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(T));
}

template <typename T>
bool Get(std::string_view& in, T& value) {
  if (in.size() < sizeof(T)) {
    return false;
  }
  std::memcpy(&value, in.data(), sizeof(T));
  in.remove_prefix(sizeof(T));
  return true;
}

void PutTime(std::string& out, const struct timespec& time) {
  Put(out, static_cast<std::int64_t>(time.tv_sec));
  Put(out, static_cast<std::uint32_t>(time.tv_nsec));
}

bool GetTime(std::string_view& in, struct timespec& time) {
  std::int64_t seconds = 0;
  std::uint32_t nanoseconds = 0;
  if (!Get(in, seconds) || !Get(in, nanoseconds) || nanoseconds >= 1'000'000'000U) {
    return false;
  }
  time.tv_sec = seconds;
  time.tv_nsec = static_cast<long>(nanoseconds);
  return true;
}

void PutText(std::string& out, std::string_view text) {
  Put(out, static_cast<std::uint32_t>(text.size()));
  out.append(text);
}

bool GetText(std::string_view& in, std::string_view& text) {
  std::uint32_t length = 0;
  if (!Get(in, length) || in.size() < length) {
    return false;
  }
  text = in.substr(0, length);
  in.remove_prefix(length);
  return true;
}

std::string ReadAll(int fd) {
  std::string bytes;
  std::vector<char> buffer(256 * 1024);
  for (;;) {
    const ssize_t got = ::pread(fd, buffer.data(), buffer.size(), static_cast<off_t>(bytes.size()));
    if (got <= 0) {
      return bytes;
    }
    bytes.append(buffer.data(), static_cast<std::size_t>(got));
  }
}

// Opened and locked, and still what is at the path: another mount may have put a new file there meanwhile.
UniqueFd OpenLocked(const std::filesystem::path& file) {
  for (int attempt = 0; attempt < 10; ++attempt) {
    UniqueFd fd(::open(file.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600));
    struct stat opened {};
    struct stat there {};
    if (!fd || ::flock(fd.get(), LOCK_SH) != 0 || ::fstat(fd.get(), &opened) != 0) {
      return {};
    }
    if (::stat(file.c_str(), &there) == 0 && there.st_ino == opened.st_ino && there.st_dev == opened.st_dev) {
      return fd;
    }
  }
  errno = EBUSY;
  return {};
}

bool WriteWhole(int fd, std::string_view bytes) {
  return ::write(fd, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size());
}

}  // namespace

SetTimes::SetTimes(const std::filesystem::path& file) {
  if (file.empty()) {
    return;
  }
  std::error_code error;
  std::filesystem::create_directories(file.parent_path(), error);
  file_ = OpenLocked(file);
  if (!file_) {
    spdlog::warn("{}: {}: the nanoseconds of times that are set will not outlive this mount", file.string(),
                 SystemText(errno));
    return;
  }
  Load(file);
}

void SetTimes::Load(const std::filesystem::path& file) {
  const std::string bytes = ReadAll(file_.get());
  bool whole = bytes.starts_with(kMagic);
  MutexLock lock(mutex_);
  const std::uint64_t records = whole ? Replay(std::string_view(bytes).substr(kMagic.size()), whole) : 0;
  count_.store(entries_.size());
  file_bytes_.store(bytes.size());
  if ((!whole || records > entries_.size() + kWorthRewriting) && !Rewrite(file) && !whole) {
    // What would be appended behind a broken record is never read: another mount is using the file.
    file_ = {};
  }
}

std::uint64_t SetTimes::Replay(std::string_view bytes, bool& whole) {
  std::uint64_t records = 0;
  while (!bytes.empty()) {
    std::uint32_t length = 0;
    std::uint64_t checksum = 0;
    whole = Get(bytes, length) && Get(bytes, checksum) && length <= kMaxBodyBytes && length <= bytes.size();
    const std::optional<Record> record =
        whole && XXH3_64bits(bytes.data(), length) == checksum ? Decode(bytes.substr(0, length)) : std::nullopt;
    whole = record.has_value();
    if (!whole) {
      break;
    }
    Apply(*record);
    bytes.remove_prefix(length);
    ++records;
  }
  return records;
}

bool SetTimes::Rewrite(const std::filesystem::path& file) {
  if (::flock(file_.get(), LOCK_EX | LOCK_NB) != 0) {
    ::flock(file_.get(), LOCK_SH);  // which is lost when it could not be made an exclusive one (flock(2))
    return false;
  }
  std::vector<std::pair<std::uint64_t, std::string>> records;
  for (const auto& [path, entry] : entries_) {
    records.emplace_back(entry.serial, Encode({Kind::kSet, entry.times, path, {}}));
  }
  std::sort(records.begin(), records.end());
  std::string bytes(kMagic);
  for (const auto& [serial, record] : records) {
    bytes += record;
  }
  const std::filesystem::path fresh = file.string() + ".new";
  UniqueFd fd(::open(fresh.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd || ::flock(fd.get(), LOCK_SH) != 0 || !WriteWhole(fd.get(), bytes) ||
      ::rename(fresh.c_str(), file.c_str()) != 0) {
    return false;
  }
  file_ = std::move(fd);
  file_bytes_.store(bytes.size());
  return true;
}

std::string SetTimes::Encode(const Record& record) {
  std::string body;
  Put(body, static_cast<std::uint8_t>(record.kind));
  PutTime(body, record.times.atime);
  PutTime(body, record.times.mtime);
  PutText(body, record.path);
  PutText(body, record.to);
  std::string out;
  out.reserve(kHeaderBytes + body.size());
  Put(out, static_cast<std::uint32_t>(body.size()));
  Put(out, static_cast<std::uint64_t>(XXH3_64bits(body.data(), body.size())));
  return out + body;
}

std::optional<SetTimes::Record> SetTimes::Decode(std::string_view body) {
  Record record;
  std::uint8_t kind = 0;
  if (!Get(body, kind) || kind < 1 || kind > 3 || !GetTime(body, record.times.atime) ||
      !GetTime(body, record.times.mtime) || !GetText(body, record.path) || !GetText(body, record.to) || !body.empty()) {
    return std::nullopt;
  }
  record.kind = static_cast<Kind>(kind);
  return record;
}

bool SetTimes::Apply(const Record& record) {
  switch (record.kind) {
    case Kind::kSet:
      MakeRoom();
      entries_.insert_or_assign(std::string(record.path), Entry{record.times, next_serial_++});
      return true;
    case Kind::kForgotten: {
      const auto found = entries_.find(record.path);
      if (found == entries_.end()) {
        return false;
      }
      entries_.erase(found);
      return true;
    }
    case Kind::kMoved: {
      bool changed = Apply({Kind::kForgotten, {}, record.to, {}});
      const std::string from(record.path);
      const std::string below = from + "/";
      // The path itself, and what begins with it and a slash: names like "path-2" sort between the two.
      std::vector<std::pair<std::string, Entry>> moved;
      const auto take = [&](auto first, auto last) REQUIRES(mutex_) {
        for (auto entry = first; entry != last; entry = entries_.erase(entry)) {
          moved.emplace_back(std::string(record.to) + entry->first.substr(from.size()), entry->second);
        }
      };
      if (const auto self = entries_.find(from); self != entries_.end()) {
        take(self, std::next(self));
      }
      const auto first = entries_.lower_bound(below);
      auto last = first;
      while (last != entries_.end() && last->first.starts_with(below)) {
        ++last;
      }
      take(first, last);
      changed = changed || !moved.empty();
      for (auto& [path, entry] : moved) {
        entries_.insert_or_assign(std::move(path), entry);
      }
      return changed;
    }
  }
  return false;
}

void SetTimes::MakeRoom() {
  if (entries_.size() < kMaxPaths) {
    return;
  }
  std::vector<std::uint64_t> serials;
  serials.reserve(entries_.size());
  for (const auto& [path, entry] : entries_) {
    serials.push_back(entry.serial);
  }
  const auto quarter = serials.begin() + static_cast<std::ptrdiff_t>(serials.size() / 4);
  std::nth_element(serials.begin(), quarter, serials.end());
  std::erase_if(entries_, [oldest = *quarter](const auto& entry) { return entry.second.serial < oldest; });
}

void SetTimes::Change(const Record& record) {
  {
    MutexLock lock(mutex_);
    if (!Apply(record)) {
      return;
    }
    count_.store(entries_.size());
  }
  if (!file_) {
    return;
  }
  const std::string bytes = Encode(record);
  const std::uint64_t before = file_bytes_.fetch_add(bytes.size());
  if (before + bytes.size() > kMaxFileBytes) {
    return;
  }
  if (!WriteWhole(file_.get(), bytes) && before <= kMaxFileBytes) {
    file_bytes_.store(kMaxFileBytes);  // a cut record: nothing behind it would be read
    spdlog::warn("the nanoseconds of times that are set cannot be kept on this disk: {}", SystemText(errno));
  }
}

void SetTimes::Set(const RemotePath& path, const Times& times) { Change({Kind::kSet, times, path.text(), {}}); }

void SetTimes::Forget(const RemotePath& path) {
  if (!empty()) {
    Change({Kind::kForgotten, {}, path.text(), {}});
  }
}

void SetTimes::Moved(const RemotePath& from, const RemotePath& to) {
  if (!empty()) {
    Change({Kind::kMoved, {}, from.text(), to.text()});
  }
}

std::optional<SetTimes::Times> SetTimes::Find(const RemotePath& path) const {
  MutexLock lock(mutex_);
  const auto found = entries_.find(path.text());
  return found == entries_.end() ? std::nullopt : std::optional(found->second.times);
}

}  // namespace bt
