// What encryption costs: CPU time of this process for reading and writing a file over SFTP, for each cipher, against a
// real sshd on loopback without TLS; beside it OpenSSH's own client, which reads with `cat`.
//
//   ssh_cpu [MiB of the file] [rounds] [alone]       alone: without OpenSSH's client
//
// Prints a line for each measurement, and the medians at the end. User and system time of the client count, not the
// time that passed: other programs may use the machine. The order of transport/ssh/algorithms.cc rests on this.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "tests/unit/ssh/sshd.h"
#include "transport/sftp/sftp_fs.h"

namespace bt::test {
namespace {

struct Cipher {
  std::string name;
  std::string macs;
};

const std::vector<Cipher> kCiphers{
    {"aes128-gcm@openssh.com", ""},
    {"aes256-gcm@openssh.com", ""},
    {"chacha20-poly1305@openssh.com", ""},
    {"aes128-ctr", "hmac-sha2-256-etm@openssh.com"},
    {"aes256-ctr", "hmac-sha2-256-etm@openssh.com"},
};

constexpr std::size_t kSpan = 4 * 1024 * 1024;  // one Read() or Write(): sixteen requests in flight

double Seconds(const rusage& used) {
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

double OwnSeconds() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  return Seconds(used);
}

template <typename T>
T Need(Result<T> result) {
  if (!result.ok()) {
    throw std::runtime_error(Describe(result.error()));
  }
  return std::move(result).value();
}
void Need(const Status& status) {
  if (!status.ok()) {
    throw std::runtime_error(Describe(status.error()));
  }
}

OpContext Patiently() { return OpContext::WithTimeout(std::chrono::minutes(10)); }

class Bench {
 public:
  Bench(const Cipher& cipher, std::uint64_t size)
      : cipher_(cipher),
        size_(size),
        sshd_(std::string(Sshd::kWithSftp) + "Ciphers " + cipher.name + "\n" +
              (cipher.macs.empty() ? "" : "MACs " + cipher.macs + "\n")) {
    file_ = (sshd_.dir() / "file").string();
    WriteFile(file_, "");
    std::filesystem::resize_file(file_, size);
    if (RunProgram({"/usr/bin/ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key()}) != 0) {
      throw std::runtime_error("ssh-keygen failed");
    }
    WriteFile(key() + "-cert.pub", sshd_.Sign(ReadFile(key() + ".pub")));
  }

  const std::string& cipher() const { return cipher_.name; }

  double Read() {
    return Through([this](RemoteFs& fs, std::vector<std::byte>& bytes) {
      const OpenedFile opened = Need(fs.Open(Patiently(), Path(), {.read = true}, 0));
      for (std::uint64_t at = 0; at < size_; at += kSpan) {
        if (Need(opened.file->Read(Patiently(), at, bytes)) != bytes.size()) {
          throw std::runtime_error("a short read");
        }
      }
    });
  }

  double Write() {
    return Through([this](RemoteFs& fs, std::vector<std::byte>& bytes) {
      const OpenedFile opened = Need(fs.Open(Patiently(), Path(), {.write = true}, 0));
      for (std::uint64_t at = 0; at < size_; at += kSpan) {
        Need(opened.file->Write(Patiently(), at, bytes));
      }
    });
  }

  double OpensshRead() { return Openssh("cat " + file_, "/dev/null", "/dev/null"); }
  double OpensshWrite() { return Openssh("cat > /dev/null", file_, "/dev/null"); }

 private:
  std::string key() const { return (sshd_.dir() / "user").string(); }
  RemotePath Path() const { return Need(RemotePath::Parse(file_)); }

  template <typename Transfer>
  double Through(Transfer transfer) {
    std::vector<std::byte> bytes(kSpan, std::byte{0x5a});
    const auto connection = Need(sshd_.Connect());
    const auto fs = Need(sftp::SftpFs::Open(Soon(), Need(connection->OpenSftp(Soon()))));
    const double before = OwnSeconds();
    transfer(*fs, bytes);
    return OwnSeconds() - before;
  }

  double Openssh(const std::string& command, const std::string& in, const std::string& out) {
    const std::string port = std::to_string(sshd_.port());
    const pid_t pid = ::fork();
    if (pid == 0) {
      ::dup2(::open(in.c_str(), O_RDONLY), 0);
      ::dup2(::open(out.c_str(), O_WRONLY), 1);
      ::execl("/usr/bin/ssh", "ssh", "-F", "none", "-q", "-p", port.c_str(), "-i", key().c_str(), "-o",
              "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "baseten@127.0.0.1", command.c_str(),
              nullptr);
      ::_exit(127);
    }
    int status = -1;
    rusage used{};
    if (pid < 0 || ::wait4(pid, &status, 0, &used) != pid || status != 0) {
      throw std::runtime_error("ssh failed");
    }
    return Seconds(used);
  }

  const Cipher cipher_;
  const std::uint64_t size_;
  Sshd sshd_;
  std::string file_;
};

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

void Run(std::uint64_t mib, int rounds, bool alone) {
  const std::uint64_t size = mib * 1024 * 1024 / kSpan * kSpan;
  const double gib = static_cast<double>(size) / (1024.0 * 1024 * 1024);
  std::vector<std::unique_ptr<Bench>> benches;
  benches.reserve(std::size(kCiphers));
  for (const Cipher& cipher : kCiphers) {
    benches.push_back(std::make_unique<Bench>(cipher, size));
  }
  std::vector<std::pair<std::string, double (Bench::*)()>> kinds{{"read", &Bench::Read}, {"write", &Bench::Write}};
  if (!alone) {
    kinds.insert(kinds.end(), {{"`ssh`, read", &Bench::OpensshRead}, {"`ssh`, write", &Bench::OpensshWrite}});
  }
  std::map<std::pair<std::string, std::string>, std::vector<double>> measured;
  for (int round = 0; round < rounds; ++round) {
    for (const auto& bench : benches) {
      for (const auto& [kind, measure] : kinds) {
        const double seconds = (bench.get()->*measure)() / gib;
        measured[{bench->cipher(), kind}].push_back(seconds);
        fmt::print("{}\t{}\t{:.2f}\n", bench->cipher(), kind, seconds);
        std::fflush(stdout);
      }
    }
  }
  std::string heads;
  std::string rule = "|---|";
  for (const auto& [kind, measure] : kinds) {
    heads += " " + kind + " |";
    rule += "---|";
  }
  fmt::print("\n| CPU-seconds of the client per GiB |{}\n{}\n", heads, rule);
  for (const auto& bench : benches) {
    fmt::print("| {} |", bench->cipher());
    for (const auto& [kind, measure] : kinds) {
      fmt::print(" {:.2f} |", Median(measured[{bench->cipher(), kind}]));
    }
    fmt::print("\n");
  }
}

}  // namespace
}  // namespace bt::test

int main(int argc, char** argv) {
  try {
    const int mib = argc > 1 ? std::atoi(argv[1]) : 256;
    const int rounds = argc > 2 ? std::atoi(argv[2]) : 3;
    if (mib < 4 || rounds < 1) {
      fmt::print(stderr, "use: ssh_cpu [MiB of the file, at least 4] [rounds] [alone]\n");
      return 2;
    }
    bt::test::Run(static_cast<std::uint64_t>(mib), rounds, argc > 3 && std::string_view(argv[3]) == "alone");
  } catch (const std::exception& failure) {
    fmt::print(stderr, "ssh_cpu: {}\n", failure.what());
    return 1;
  }
  return 0;
}
