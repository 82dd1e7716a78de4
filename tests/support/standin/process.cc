#include "tests/support/standin/process.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <future>
#include <map>
#include <sstream>
#include <utility>

#include "transport/base/thread_name.h"

namespace bt::standin {
namespace {

using namespace std::chrono_literals;

std::vector<char*> Pointers(std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  pointers.reserve(strings.size() + 1);
  for (std::string& text : strings) {
    pointers.push_back(text.data());
  }
  pointers.push_back(nullptr);
  return pointers;
}

Result<pid_t> Fork(const Command& command) {
  // Everything that allocates happens before the fork: after it, only async-signal-safe calls are allowed.
  std::vector<std::string> argv = command.argv;
  std::vector<std::string> environment = command.environment;
  environment.emplace_back("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
  const std::vector<char*> argv_pointers = Pointers(argv);
  const std::vector<char*> environment_pointers = Pointers(environment);
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) {
    return Error{Code::kInternal, fmt::format("fork: {}", SystemText(errno)), "standin.fork"};
  }
  if (child > 0) {
    return child;
  }
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) {
    ::_exit(127);
  }
  ::setpgid(0, 0);  // Ctrl-C in a terminal is for the stand-in, which ends its children itself
  sigset_t none;
  ::sigemptyset(&none);
  ::pthread_sigmask(SIG_SETMASK, &none, nullptr);
  std::signal(SIGPIPE, SIG_DFL);
  const int input = ::open("/dev/null", O_RDONLY);
  const int output = ::open(command.log_file.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  ::dup2(input, STDIN_FILENO);
  ::dup2(output, STDOUT_FILENO);
  ::dup2(output, STDERR_FILENO);
  ::close_range(3, ~0U, 0);
  ::execve(argv_pointers[0], argv_pointers.data(), environment_pointers.data());
  ::_exit(127);
}

struct ProcessRow {
  pid_t parent = 0;
  char state = '?';
  double cpu_seconds = 0;
};

// One line of /proc/<pid>/stat; nothing when the process is gone.
bool ReadProcess(pid_t pid, ProcessRow& row) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  std::getline(file, text);
  const std::size_t after_name = text.rfind(')');  // the name may hold anything, brackets too
  if (after_name == std::string::npos) {
    return false;
  }
  std::istringstream fields(text.substr(after_name + 1));
  std::string skipped;
  fields >> row.state >> row.parent;
  for (int field = 5; field < 14; ++field) {
    fields >> skipped;
  }
  double ticks = 0;
  for (int field = 14; field <= 17; ++field) {  // utime stime cutime cstime
    double value = 0;
    fields >> value;
    ticks += value;
  }
  row.cpu_seconds = ticks / static_cast<double>(::sysconf(_SC_CLK_TCK));
  return true;
}

bool IsGone(pid_t pid) {
  ProcessRow row;
  return !ReadProcess(pid, row) || row.state == 'Z' || row.state == 'X';
}

std::vector<pid_t> AllProcesses() {
  std::vector<pid_t> pids;
  if (DIR* proc = ::opendir("/proc")) {
    while (const dirent* entry = ::readdir(proc)) {
      if (std::isdigit(static_cast<unsigned char>(entry->d_name[0])) != 0) {
        pids.push_back(static_cast<pid_t>(std::strtol(entry->d_name, nullptr, 10)));
      }
    }
    ::closedir(proc);
  }
  return pids;
}

void WaitUntilGone(const std::vector<pid_t>& pids) {
  const TimePoint give_up = Clock::now() + 5s;
  while (!std::all_of(pids.begin(), pids.end(), IsGone) && Clock::now() < give_up) {
    std::this_thread::sleep_for(2ms);
  }
}

}  // namespace

Spawner::Spawner() : thread_([this](const std::stop_token& stop) { Loop(stop); }) {}

void Spawner::Loop(const std::stop_token& stop) {
  SetThreadName("standin-spawn");
  const OpContext until_stopped{.deadline = TimePoint::max(), .cancel = stop};
  while (!stop.stop_requested()) {
    std::vector<std::function<void()>> work;
    {
      MutexLock lock(mutex_);
      if (queue_.empty()) {
        wake_.Wait(mutex_, until_stopped);
      }
      work.swap(queue_);
    }
    for (const auto& item : work) {
      item();
    }
  }
}

Result<pid_t> Spawner::Start(const Command& command) {
  std::promise<Result<pid_t>> promise;
  std::future<Result<pid_t>> answer = promise.get_future();
  {
    MutexLock lock(mutex_);
    queue_.emplace_back([&] { promise.set_value(Fork(command)); });
  }
  wake_.NotifyOne();
  return answer.get();
}

Status Spawner::Run(const Command& command) {
  const pid_t child = TRY(Start(command));
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
    return {};
  }
  std::ifstream log(command.log_file);
  const std::string text((std::istreambuf_iterator<char>(log)), std::istreambuf_iterator<char>());
  return Error{Code::kInternal, fmt::format("{} failed (status {}): {}", command.argv[0], status, text),
               "standin.tool"};
}

std::vector<pid_t> Descendants(pid_t root) {
  std::multimap<pid_t, pid_t> children;
  for (const pid_t pid : AllProcesses()) {
    ProcessRow row;
    if (ReadProcess(pid, row)) {
      children.emplace(row.parent, pid);
    }
  }
  std::vector<pid_t> found;
  std::vector<pid_t> open{root};
  while (!open.empty()) {
    const pid_t parent = open.back();
    open.pop_back();
    for (auto [child, end] = children.equal_range(parent); child != end; ++child) {
      found.push_back(child->second);
      open.push_back(child->second);
    }
  }
  return found;
}

void KillTree(pid_t root) {
  // Stop them all before killing any: a process that goes on forking would leave a child behind.
  ::kill(root, SIGSTOP);
  std::vector<pid_t> tree;
  for (int round = 0; round < 10; ++round) {
    std::vector<pid_t> now = Descendants(root);
    for (const pid_t pid : now) {
      ::kill(pid, SIGSTOP);
    }
    std::sort(now.begin(), now.end());
    if (std::exchange(tree, now) == now) {
      break;
    }
  }
  for (const pid_t pid : tree) {
    ::kill(pid, SIGKILL);
  }
  ::kill(root, SIGKILL);
  while (::waitpid(root, nullptr, 0) < 0 && errno == EINTR) {
  }
  WaitUntilGone(tree);
}

void KillSessionCommands(const std::string& variable, std::uint16_t port) {
  const std::string port_at_end = fmt::format(" {}", port);
  std::vector<pid_t> killed;
  for (const pid_t pid : AllProcesses()) {
    std::ifstream environment("/proc/" + std::to_string(pid) + "/environ");
    bool has_variable = false;
    bool has_port = false;
    for (std::string entry; std::getline(environment, entry, '\0');) {
      has_variable = has_variable || entry == variable;
      has_port = has_port || (entry.starts_with("SSH_CONNECTION=") && entry.ends_with(port_at_end));
    }
    if (has_variable && has_port) {
      ::kill(pid, SIGKILL);
      killed.push_back(pid);
    }
  }
  WaitUntilGone(killed);
}

double TreeCpuSeconds(pid_t root) {
  std::vector<pid_t> tree = Descendants(root);
  tree.push_back(root);
  double sum = 0;
  for (const pid_t pid : tree) {
    ProcessRow row;
    if (ReadProcess(pid, row)) {
      sum += row.cpu_seconds;
    }
  }
  return sum;
}

bool IsAlive(pid_t child) {
  siginfo_t info{};
  return ::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == 0;
}

}  // namespace bt::standin
