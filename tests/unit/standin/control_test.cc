#include "tests/support/standin/control.h"

#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/unit/standin/test_tools.h"

namespace bt::standin {
namespace {

using nlohmann::json;
using ControlTest = StandinTest;

std::string Program() { return std::filesystem::read_symlink("/proc/self/exe").parent_path() / "bt-standin"; }

TEST_F(ControlTest, CarriesOutEveryCommand) {
  for (const char* line : {R"({"cmd":"rtt","rtt":"2ms"})",
                           R"({"cmd":"rtt","rtt":1,"link":"api"})",
                           R"({"cmd":"rate","rate":"100MB"})",
                           R"({"cmd":"rate","up":0,"down":0})",
                           R"({"cmd":"window","window":"4MiB"})",
                           R"({"cmd":"cut"})",
                           R"({"cmd":"cut-every","seed":3,"min":1000,"max":2000})",
                           R"({"cmd":"cut-every","max":0})",
                           R"({"cmd":"cut-after","direction":"up","bytes":1000})",
                           R"({"cmd":"stall","on":true,"new":false})",
                           R"({"cmd":"stall","on":false})",
                           R"({"cmd":"max-connections","connections":0})",
                           R"({"cmd":"refuse","mode":"status"})",
                           R"({"cmd":"refuse","mode":"connection"})",
                           R"({"cmd":"refuse","mode":"none"})",
                           R"({"cmd":"job","job":"demo123","state":"TRAINING_JOB_FAILED"})",
                           R"({"cmd":"lifetimes","certificate":10,"single_use":true})",
                           R"({"cmd":"api-fault","kind":"status","status":503,"calls":1,"retry_after":1})",
                           R"({"cmd":"api-down","on":false})",
                           R"({"cmd":"api-certificate","certificate":"wrong-name"})",
                           R"({"cmd":"proxy-certificate","certificate":"good"})",
                           R"({"cmd":"stop","node":0})",
                           R"({"cmd":"restart","node":0,"new_host_key":true,"sftp":"tap","rekey_limit":"8M"})",
                           R"({"cmd":"sftp-fault","action":"lose-reply","request":"mkdir"})",
                           R"({"cmd":"sftp-clear"})",
                           R"({"cmd":"counters"})",
                           R"({"cmd":"cpu"})"}) {
    EXPECT_EQ(json::parse(Execute(*standin_, line))["ok"], true) << line << Execute(*standin_, line);
  }
  EXPECT_TRUE(standin_->lifetimes().token_single_use);
}

TEST_F(ControlTest, RefusesWhatMakesNoSense) {
  for (const char* line : {"", "[]", "nonsense", R"({"cmd":"nothing"})", R"({"cmd":"rtt","rtt":"soon"})",
                           R"({"cmd":"rtt","rtt":{}})", R"({"cmd":"refuse","mode":"maybe"})",
                           R"({"cmd":"stop","node":7})", R"({"cmd":"sftp-fault","action":"fail","request":"x"})"}) {
    EXPECT_EQ(json::parse(Execute(*standin_, line))["ok"], false) << line;
  }
}

TEST_F(ControlTest, ProgramPrintsCoordinatesAndAnswersOnStandardInput) {
  const Ran ran = RunShell("printf '{\"cmd\":\"counters\"}\\n{\"cmd\":\"cpu\"}\\n' | " + Program() +
                           " --nodes 2 --rtt 1ms --window 4MiB --until-stdin-closes");
  EXPECT_EQ(ran.exit_code, 0) << ran.output;
  std::istringstream lines(ran.output);
  std::string line;
  ASSERT_TRUE(std::getline(lines, line));
  const json ready = json::parse(line);
  EXPECT_EQ(ready["nodes"].size(), 2U);
  EXPECT_TRUE(ready["env"].contains("BASETEN_BASE_URL"));
  ASSERT_TRUE(std::getline(lines, line));
  EXPECT_EQ(json::parse(line)["link"]["connections"], 0);
  ASSERT_TRUE(std::getline(lines, line));
  EXPECT_TRUE(json::parse(line).contains("server_seconds"));
}

TEST_F(ControlTest, SocketTakesCommandsFromTheShell) {
  std::atomic<bool> quit{false};
  const std::string path = File("control");
  auto control = ControlSocket::Open(*standin_, path, [&] { quit = true; });
  ASSERT_TRUE(control.ok()) << control.error().text;
  EXPECT_EQ(RunShell(Program() + " ctl " + path + " '{\"cmd\":\"cut\"}'").output, "{\"ok\":true}\n");
  EXPECT_NE(RunShell(Program() + " ctl " + path + " '{\"cmd\":\"no\"}'").exit_code, 0);
  EXPECT_FALSE(quit);
  RunShell(Program() + " ctl " + path + " '{\"cmd\":\"quit\"}'");
  while (!quit) {
    std::this_thread::yield();
  }
}

}  // namespace
}  // namespace bt::standin
