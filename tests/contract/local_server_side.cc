#include "tests/contract/local_server_side.h"

#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>

namespace bt::contract {
namespace {

// Failures to look at the server become exceptions, which GoogleTest reports as the failure of the test.
void Check(bool good, std::string_view what) {
  if (!good) {
    throw std::system_error(errno, std::generic_category(), std::string(what));
  }
}

void Put(const RemotePath& path, std::string_view content, std::ios::openmode mode) {
  std::ofstream out(path.text(), std::ios::binary | mode);
  out.write(content.data(), static_cast<std::streamsize>(content.size()));
  out.close();
  Check(out.good(), path.text());
}

}  // namespace

LocalServerSide::LocalServerSide() {
  std::string path = (std::filesystem::temp_directory_path() / "bt-contract-XXXXXX").string();
  Check(::mkdtemp(path.data()) != nullptr, path);
  root_ = RemotePath::Parse(std::filesystem::canonical(path).string()).value();
}

LocalServerSide::~LocalServerSide() {
  std::error_code ignored;
  std::filesystem::remove_all(root_.text(), ignored);
}

Traits LocalServerSide::TraitsOfOpenSsh() {
  Traits traits;
  traits.no_replace_sees_dangling_links = false;
  traits.can_change_owner = ::geteuid() == 0;
  return traits;
}

void LocalServerSide::WriteFile(const RemotePath& path, std::string_view content) {
  Put(path, content, std::ios::trunc);
}

void LocalServerSide::AppendFile(const RemotePath& path, std::string_view content) {
  Put(path, content, std::ios::app);
}

void LocalServerSide::MakeDirectory(const RemotePath& path) { std::filesystem::create_directories(path.text()); }

void LocalServerSide::MakeLink(const RemotePath& path, std::string_view target) {
  Check(::symlink(std::string(target).c_str(), path.text().c_str()) == 0, path.text());
}

void LocalServerSide::Remove(const RemotePath& path) { std::filesystem::remove_all(path.text()); }

void LocalServerSide::Move(const RemotePath& from, const RemotePath& to) {
  std::filesystem::rename(from.text(), to.text());
}

bool LocalServerSide::Exists(const RemotePath& path) {
  struct stat seen {};
  return ::lstat(path.text().c_str(), &seen) == 0;
}

std::string LocalServerSide::ReadFile(const RemotePath& path) {
  const std::ifstream in(path.text(), std::ios::binary);
  Check(in.good(), path.text());
  std::ostringstream text;
  text << in.rdbuf();
  return std::move(text).str();
}

Attributes LocalServerSide::Lstat(const RemotePath& path) {
  struct stat seen {};
  Check(::lstat(path.text().c_str(), &seen) == 0, path.text());
  return Attributes{static_cast<std::uint64_t>(seen.st_size),
                    seen.st_uid,
                    seen.st_gid,
                    seen.st_mode,
                    seen.st_atim.tv_sec,
                    seen.st_mtim.tv_sec};
}

FsStats LocalServerSide::StatFs(const RemotePath& path) {
  struct statvfs seen {};
  Check(::statvfs(path.text().c_str(), &seen) == 0, path.text());
  FsStats stats;
  stats.block_size = seen.f_bsize;
  stats.fragment_size = seen.f_frsize;
  stats.blocks = seen.f_blocks;
  stats.blocks_free = seen.f_bfree;
  stats.blocks_available = seen.f_bavail;
  stats.files = seen.f_files;
  stats.files_free = seen.f_ffree;
  stats.files_available = seen.f_favail;
  stats.name_max = seen.f_namemax;
  stats.read_only = (seen.f_flag & ST_RDONLY) != 0;
  return stats;
}

}  // namespace bt::contract
