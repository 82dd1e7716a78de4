#include "cache/read_cache.h"

#include <algorithm>
#include <utility>

#include "transport/base/free_memory.h"
#include "transport/base/thread_name.h"

namespace bt {

namespace {

constexpr std::chrono::milliseconds kTick{500};
constexpr std::size_t kSweep = 256;  // entries that are gone are swept out when there may be as many

// For what must be found without the server.
class NoFile final : public RemoteFile {
 public:
  Result<std::size_t> Read(const OpContext&, std::uint64_t, std::span<std::byte>) override { return Nothing(); }
  Status Write(const OpContext&, std::uint64_t, std::span<const std::byte>) override { return Nothing(); }
  Result<Attributes> Stat(const OpContext&) override { return Nothing(); }
  Status SetAttributes(const OpContext&, const AttributeChange&) override { return Nothing(); }
  Status Sync(const OpContext&) override { return Nothing(); }

 private:
  static Error Nothing() { return {Code::kStale, "the bytes are not known any more", "cache.not-known"}; }
};

}  // namespace

ReadCache::ReadCache(ReadCacheOptions options)
    : options_(std::move(options)),
      epochs_(options_.disk != nullptr ? options_.disk->Epochs(options_.workspace) : std::make_unique<PathEpochs>()),
      budget_(options_.memory),
      pool_(options_.threads),
      thread_([this](const std::stop_token& stop) { Run(stop); }) {}

ReadCache::~ReadCache() {
  thread_.request_stop();
  pool_.Stop();
}

std::shared_ptr<FileReader> ReadCache::Open(FileReader::Opened opened) {
  if (opened.epoch && opened.epoch != epochs_->Of(opened.path)) {
    opened.epoch.reset();
  }
  auto reader = std::make_shared<FileReader>(*this, ++last_id_, std::move(opened));
  MutexLock lock(mutex_);
  readers_.push_back(reader);
  changed_.NotifyAll();
  return reader;
}

std::shared_ptr<FileBlocks> ReadCache::Shared(const RemotePath& path, PathEpochs::Epoch epoch,
                                              const FileVersion& version, const FileBlocks* prefix) {
  const SharedKey key{path.text(), version.size, version.mtime, epoch};
  {
    MutexLock lock(mutex_);
    if (const auto found = shared_.find(key); found != shared_.end()) {
      if (std::shared_ptr<FileBlocks> blocks = found->second.lock()) {
        return blocks;
      }
    }
  }
  std::shared_ptr<BlockFile> disk;
  if (options_.disk != nullptr && version.size > 0) {
    const BlockKey block_key{options_.workspace, path, version, epoch};
    disk = prefix == nullptr ? options_.disk->File(block_key)
                             : options_.disk->Grown({options_.workspace, path, prefix->version(), epoch}, block_key);
  }
  auto made = std::make_shared<FileBlocks>(ReadResources{budget_, pool_, meter_, streams_}, version, std::move(disk));
  MutexLock lock(mutex_);
  if (shared_.size() >= kSweep) {
    std::erase_if(shared_, [](const auto& entry) { return entry.second.expired(); });
  }
  std::weak_ptr<FileBlocks>& place = shared_[key];
  if (std::shared_ptr<FileBlocks> other = place.lock()) {
    lock.Unlock();  // what was made in vain goes without the lock
    return other;
  }
  place = made;
  return made;
}

std::shared_ptr<const std::vector<std::byte>> ReadCache::Contents(const RemotePath& path, PathEpochs::Epoch epoch,
                                                                  const FileVersion& version, TimePoint asked_at) {
  if (!clock_.Settled(version.mtime, asked_at)) {
    return nullptr;
  }
  auto bytes = std::make_shared<std::vector<std::byte>>();
  if (version.size == 0) {
    return bytes;
  }
  const std::shared_ptr<FileBlocks> blocks = Shared(path, epoch, version, nullptr);
  if (!blocks->Has(0, version.size)) {
    return nullptr;
  }
  std::stop_source closed;
  closed.request_stop();  // nothing is to be fetched ahead
  bytes->resize(version.size);
  const FileBlocks::Source nowhere{++last_id_, std::make_shared<NoFile>(), closed.get_token()};
  const Result<std::size_t> got = blocks->Read(OpContext{TimePoint::max(), closed.get_token()}, nowhere, 0, *bytes);
  return got.ok() && *got == bytes->size() ? bytes : nullptr;
}

void ReadCache::Keep(std::shared_ptr<const void> what, TimePoint until) {
  MutexLock lock(mutex_);
  kept_.push_back({std::move(what), until});
  changed_.NotifyAll();
}

std::shared_ptr<FileBlocks> ReadCache::Private(const FileVersion& version) {
  return std::make_shared<FileBlocks>(ReadResources{budget_, pool_, meter_, streams_}, version, nullptr);
}

bool ReadCache::InBackground(std::function<void(const std::stop_token&)> task) {
  {
    MutexLock lock(mutex_);
    ++in_background_;
  }
  const bool taken = pool_.Submit([this, task = std::move(task)] {
    task(pool_.stopping());
    MutexLock lock(mutex_);
    --in_background_;
    changed_.NotifyAll();
  });
  if (!taken) {
    MutexLock lock(mutex_);
    --in_background_;
  }
  return taken;
}

void ReadCache::Finish(const OpContext& ctx) {
  MutexLock lock(mutex_);
  while (in_background_ > 0 && ctx.Check().ok()) {
    changed_.Wait(mutex_, ctx);
  }
}

void ReadCache::Run(const std::stop_token& stop) {
  SetThreadName("bt-read-cache");
  bool used = false;
  while (!stop.stop_requested()) {
    std::vector<std::shared_ptr<FileReader>> readers;
    std::vector<Kept> over;  // goes without the lock
    std::size_t closed = 0;
    {
      MutexLock lock(mutex_);
      while (readers_.empty() && kept_.empty() && !used && !stop.stop_requested()) {
        changed_.Wait(mutex_, OpContext{TimePoint::max(), stop});
      }
      const TimePoint until = Clock::now() + kTick;
      while (Clock::now() < until && !stop.stop_requested()) {
        changed_.Wait(mutex_, OpContext{until, stop});
      }
      closed = std::erase_if(readers_, [](const std::weak_ptr<FileReader>& reader) { return reader.expired(); });
      for (const std::weak_ptr<FileReader>& reader : readers_) {
        readers.push_back(reader.lock());
      }
      const auto first = std::partition(kept_.begin(), kept_.end(),
                                        [now = Clock::now()](const Kept& kept) { return kept.until > now; });
      over.assign(std::move_iterator(first), std::move_iterator(kept_.end()));
      kept_.erase(first, kept_.end());
    }
    for (const std::shared_ptr<FileReader>& reader : readers) {
      if (reader != nullptr) {
        reader->Tick(Clock::now());
      }
    }
    readers.clear();
    const bool was_used = std::exchange(used, closed > 0 || streams_ > 0 || budget_.used() > 0);
    if (was_used && !used) {
      GiveBackToSystem();
    }
  }
}

}  // namespace bt
