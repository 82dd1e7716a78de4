// Trees copied into the mount and out of it by the programs that people use for it.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <ctime>

#include <fmt/format.h>

#include "tests/e2e/mounted_workspace.h"
#include "tests/e2e/tree.h"

namespace bt::e2e {
namespace {

namespace fs = std::filesystem;

// Of file `number`: many small ones, some without a byte, some larger than any buffer on the way.
std::size_t SizeOf(int number) {
  if (number % 10 == 0) {
    return 0;
  }
  if (number % 400 == 1) {
    return 3'000'000 + static_cast<std::size_t>(number);
  }
  return static_cast<std::size_t>(number * 37 % 20'000);
}

std::string NameOf(int number) {
  static constexpr std::array<const char*, 6> kNames{"plain-{}.txt", "with blanks {} ", "line\nfeed-{}",
                                                     "\xff\xfe-{}",  "Größe {}",        ".hidden-{}"};
  return fmt::format(fmt::runtime(kNames.at(static_cast<std::size_t>(number) % kNames.size())), number);
}

// A tree of `files` entries: files, relative symlinks, modes, times, and directories four levels deep.
void MakeTree(const fs::path& root, int files) {
  static constexpr std::array<mode_t, 5> kModes{0644, 0600, 0755, 0444, 0640};
  for (int i = 0; i < files; ++i) {
    const fs::path directory = root / fmt::format("d{}", i % 7) / fmt::format("e {}", i % 3) /
                               (i % 5 == 0 ? fmt::format("f{}/g", i % 11) : std::string());
    fs::create_directories(directory);
    const fs::path file = directory / NameOf(i);
    if (i % 25 == 24) {
      fs::create_symlink(i % 2 == 0 ? "../" + NameOf(i) : "dangling", file);
      continue;
    }
    WriteFile(file, Noise(SizeOf(i), static_cast<std::uint64_t>(i)));
    ::chmod(file.c_str(), kModes.at(static_cast<std::size_t>(i) % kModes.size()));
    const std::array<timespec, 2> times{timespec{1'600'000'000 + i, 0}, timespec{1'600'000'000 + i * 1000, 0}};
    ::utimensat(AT_FDCWD, file.c_str(), times.data(), 0);
  }
  fs::create_directories(root / "empty/below");
  ::chmod((root / "empty").c_str(), 0711);
}

class Transfer : public MountedWorkspace {
 protected:
  void ExpectToSay(const std::string& command, const std::string& expected) {
    const Finished ran = Shell(command, std::chrono::seconds(250));
    EXPECT_EQ(ran.exit_code, 0) << command << "\n" << ran.all().substr(0, 4000);
    EXPECT_EQ(ran.out.substr(0, 4000), expected) << command;
  }
};

TEST_F(Transfer, RsyncOfTwoThousandFilesUpAndDownLeavesNoDifference) {
  MakeTree(local() / "tree", 2000);
  ExpectToSay("rsync -a $D/tree/ $M/tree/", "");
  ExpectToSay("diff -r --no-dereference $D/tree $S/tree", "");
  ExpectToSay("rsync -ai $D/tree/ $M/tree/", "");
  ExpectToSay("rsync -aic $D/tree/ $S/tree/", "");
  ExpectToSay("rsync -a $M/tree/ $D/back/", "");
  ExpectToSay("diff -r --no-dereference $D/tree $D/back", "");
  ExpectToSay("rsync -ai $M/tree/ $D/back/", "");
  ExpectToSay("rsync -aic $D/tree/ $D/back/", "");
}

TEST_F(Transfer, CpCopiesBothWays) {
  MakeTree(local() / "tree", 300);
  ExpectToSay("cp -a $D/tree $M/tree", "");
  ExpectToSay("rsync -aic $D/tree/ $S/tree/", "");
  ExpectToSay("cp -a $M/tree $D/back", "");
  ExpectToSay("rsync -aic $D/tree/ $D/back/; diff -r --no-dereference $M/tree $D/back", "");
  ExpectToSay("cp -a $M/tree $M/twin && rsync -aic $S/tree/ $S/twin/", "");
  ExpectToSay("mv $M/twin $M/moved && rsync -aic $S/tree/ $S/moved/ && rm -r $M/moved && ls $S", "tree\n");
}

TEST_F(Transfer, TarPacksAndUnpacks) {
  MakeTree(local() / "tree", 300);
  ExpectToSay("tar -C $D -cf - tree | tar -C $M -xpf -", "");
  ExpectToSay("rsync -aic $D/tree/ $S/tree/", "");
  ExpectToSay("mkdir $D/back && tar -C $M -cf - tree | tar -C $D/back -xpf -", "");
  ExpectToSay("rsync -aic $D/tree/ $D/back/tree/", "");
  ExpectToSay("tar -C $M -czf $M/packed.tar.gz tree && tar -C $S -dzf $S/packed.tar.gz", "");
}

}  // namespace
}  // namespace bt::e2e
