// Programs run by the end-to-end tests: output captured, never for ever.
//
// Threading: one thread.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "transport/base/unique_fd.h"

namespace bt::e2e {

using Words = std::vector<std::string>;

struct ProgramOptions {
  std::map<std::string, std::string> environment{};  // all of it
  std::filesystem::path directory = "/";             // where it starts
  std::filesystem::path scratch = "/tmp";            // where its output is kept
};

struct Finished {
  int exit_code = -1;  // 128 + signal when a signal ended it, as in a shell; -1: it did not end in time
  std::string out{};
  std::string err{};

  std::string all() const { return out + err; }
};

// A child in a process group of its own. Its output goes to files, so that what it leaves running blocks nobody.
class Program {
 public:
  // Fails the test when it cannot be started; Wait() then answers exit code 127.
  Program(const Words& argv, const ProgramOptions& options);
  ~Program();  // kills its group when it is still running
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  pid_t pid() const { return pid_; }
  void Signal(int signal) const;  // to its whole group, as a terminal does it
  std::string OutputSoFar() const;
  // Kills it when the time is over.
  Finished Wait(std::chrono::seconds timeout);

 private:
  pid_t pid_ = -1;
  UniqueFd out_;
  UniqueFd err_;
};

// Waits for a child of this process: its exit code, as in Finished.
int WaitForChild(pid_t pid, std::chrono::seconds timeout);

// Living children of this process, whoever started them.
std::vector<pid_t> Children();

}  // namespace bt::e2e
