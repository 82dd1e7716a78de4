#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "tests/support/standin/control.h"
#include "transport/base/units.h"

namespace bt::standin {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;

// Thrown for a command that makes no sense; nlohmann::json throws for fields of the wrong type. Execute() is the only
// place that catches.
struct BadCommand {
  std::string why;
};

double OwnCpuSeconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// A number, or text with a unit: 40, "40ms", "2s". A bare number is milliseconds.
milliseconds Time(const json& command, const char* name, milliseconds fallback = milliseconds(0)) {
  if (!command.contains(name)) {
    return fallback;
  }
  if (command[name].is_number()) {
    return milliseconds(command[name].get<std::int64_t>());
  }
  const auto parsed = ParseDuration(command[name].get<std::string>());
  return parsed.ok() ? *parsed : throw BadCommand{parsed.error().text};
}

std::uint64_t Bytes(const json& command, const char* name) {
  if (!command.contains(name)) {
    return 0;
  }
  if (command[name].is_number()) {
    return command[name].get<std::uint64_t>();
  }
  const auto parsed = ParseByteSize(command[name].get<std::string>());
  return parsed.ok() ? *parsed : throw BadCommand{parsed.error().text};
}

template <typename Value>
Value Choice(const json& command, const char* name, std::initializer_list<std::pair<const char*, Value>> choices) {
  const std::string text = command.value(name, std::string());
  std::string known;
  for (const auto& [word, value] : choices) {
    if (text == word) {
      return value;
    }
    known += fmt::format("{}{}", known.empty() ? "" : ", ", word);
  }
  throw BadCommand{fmt::format("\"{}\" must be one of {}", name, known)};
}

void Check(const Status& status) {
  if (!status.ok()) {
    throw BadCommand{status.error().text};
  }
}

Link& ChosenLink(Standin& standin, const json& command) {
  return command.value("link", std::string("proxy")) == "api" ? standin.api_link() : standin.link();
}

json LinkJson(const LinkCounters& counters) {
  return {{"connections", counters.connections},
          {"open", counters.open},
          {"bytes_up", counters.bytes_up},
          {"bytes_down", counters.bytes_down},
          {"cuts", counters.cuts}};
}

json CountersJson(Standin& standin) {
  const Counters counters = standin.counters();
  return {{"api_calls", counters.api_calls},
          {"link", LinkJson(counters.link)},
          {"api_link", LinkJson(counters.api_link)},
          {"proxy", {{"accepted", counters.proxy_accepted}, {"refused", counters.proxy_refused}}},
          {"sftp",
           {{"sessions", counters.sftp.sessions},
            {"requests", counters.sftp.requests},
            {"replies", counters.sftp.replies},
            {"bytes_read", counters.sftp.bytes_read},
            {"bytes_written", counters.sftp.bytes_written},
            {"turns", counters.sftp.turns},
            {"faults_fired", counters.sftp.faults_fired}}}};
}

void SetLink(Standin& standin, const std::string& name, const json& command) {
  Link& link = ChosenLink(standin, command);
  if (name == "rtt") {
    if (&link == &standin.link()) {
      standin.SetRtt(Time(command, "rtt"));
    } else {
      link.SetRtt(Time(command, "rtt"));
    }
  } else if (name == "rate") {
    if (command.contains("rate")) {
      link.SetRate(Bytes(command, "rate"));
    } else {
      link.SetRate(Bytes(command, "up"), Bytes(command, "down"));
    }
  } else if (name == "window") {
    link.SetWindow(Bytes(command, "window"));
  } else if (name == "cut") {
    link.CutAll();
  } else if (name == "cut-every") {
    if (Time(command, "max") == milliseconds(0)) {
      link.StopCutting();
    } else {
      link.CutEvery(command.value("seed", std::uint64_t{1}), Time(command, "min"), Time(command, "max"));
    }
  } else if (name == "cut-after") {
    link.CutAfter(Choice<Direction>(command, "direction", {{"up", Direction::kUp}, {"down", Direction::kDown}}),
                  Bytes(command, "bytes"));
  } else if (name == "stall") {
    if (command.value("on", true)) {
      link.Stall(command.value("new", true) ? StallNew::kToo : StallNew::kPass);
    } else {
      link.EndStall();
    }
  } else {  // max-connections
    link.SetMaxConnections(command.value("connections", std::uint64_t{0}));
  }
}

void Refuse(Standin& standin, const json& command) {
  enum class How { kNone, kStatus, kClose, kConnection };
  const auto how = Choice<How>(
      command, "mode",
      {{"none", How::kNone}, {"status", How::kStatus}, {"close", How::kClose}, {"connection", How::kConnection}});
  standin.SetProxyRefusal(how == How::kStatus  ? RefuseMode::kStatusByte
                          : how == How::kClose ? RefuseMode::kClose
                                               : RefuseMode::kNone);
  Check(standin.link().RefuseConnections(how == How::kConnection));
}

void SetApiFault(Standin& standin, const json& command) {
  standin.SetApiFault({.kind = Choice<ApiFaultKind>(command, "kind",
                                                    {{"none", ApiFaultKind::kNone},
                                                     {"status", ApiFaultKind::kStatus},
                                                     {"html", ApiFaultKind::kHtml},
                                                     {"garbage", ApiFaultKind::kGarbage},
                                                     {"empty", ApiFaultKind::kEmpty},
                                                     {"slow", ApiFaultKind::kSlow},
                                                     {"hang", ApiFaultKind::kHang},
                                                     {"reset", ApiFaultKind::kReset}}),
                       .endpoint = command.value("endpoint", std::string()),
                       .calls = command.value("calls", 0),
                       .lasts = Time(command, "lasts"),
                       .status = command.value("status", 500),
                       .retry_after = command.value("retry_after", -1),
                       .wait = Time(command, "wait")});
}

TlsCertificate Certificate(const json& command) {
  return Choice<TlsCertificate>(command, "certificate",
                                {{"good", TlsCertificate::kGood},
                                 {"wrong-name", TlsCertificate::kWrongName},
                                 {"other-ca", TlsCertificate::kOtherCa},
                                 {"expired", TlsCertificate::kExpired}});
}

Node& ChosenNode(Standin& standin, const json& command) {
  const int index = command.value("node", 0);
  return index >= 0 && index < standin.nodes() ? standin.node(index) : throw BadCommand{"no such node"};
}

void SetNode(Standin& standin, const std::string& name, const json& command) {
  Node& node = ChosenNode(standin, command);
  if (name == "stop") {
    node.Stop();
  } else if (name == "restart") {
    const HostKey key = command.value("new_host_key", false) ? HostKey::kNew : HostKey::kSame;
    if (command.contains("sftp")) {
      SshdOptions options;
      options.sftp = Choice<SftpMode>(
          command, "sftp", {{"tap", SftpMode::kTap}, {"plain", SftpMode::kPlain}, {"none", SftpMode::kNone}});
      options.rekey_limit = command.value("rekey_limit", std::string());
      options.max_sessions = command.value("max_sessions", options.max_sessions);
      options.max_startups = command.value("max_startups", options.max_startups);
      Check(node.Restart(key, options));
    } else {
      Check(node.Restart(key));
    }
  } else if (name == "sftp-clear") {
    node.ClearFaults();
  } else {  // sftp-fault
    Check(node.ArmFault({.action = Choice<tap::Action>(command, "action",
                                                       {{"lose-request", tap::Action::kLoseRequest},
                                                        {"lose-reply", tap::Action::kLoseReply},
                                                        {"delay", tap::Action::kDelay},
                                                        {"fail", tap::Action::kFail}}),
                         .request = command.value("request", std::string()),
                         .skip = command.value("skip", 0U),
                         .times = command.value("times", 1U),
                         .delay = Time(command, "delay")}));
  }
}

json Answer(Standin& standin, const json& command) {
  const std::string name = command.value("cmd", std::string());
  const auto is_one_of = [&name](std::initializer_list<const char*> names) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  json answer{{"ok", true}};
  if (is_one_of({"rtt", "rate", "window", "cut", "cut-every", "cut-after", "stall", "max-connections"})) {
    SetLink(standin, name, command);
  } else if (is_one_of({"stop", "restart", "sftp-fault", "sftp-clear"})) {
    SetNode(standin, name, command);
  } else if (name == "refuse") {
    Refuse(standin, command);
  } else if (name == "job") {
    standin.SetJobState(command.value("job", std::string("demo123")), command.value("state", std::string()));
  } else if (name == "lifetimes") {
    Lifetimes lifetimes = standin.lifetimes();
    lifetimes.certificate = std::chrono::seconds(command.value("certificate", lifetimes.certificate.count()));
    lifetimes.token = std::chrono::seconds(command.value("token", lifetimes.token.count()));
    lifetimes.token_single_use = command.value("single_use", lifetimes.token_single_use);
    standin.SetLifetimes(lifetimes);
  } else if (name == "api-fault") {
    SetApiFault(standin, command);
  } else if (name == "api-down") {
    Check(standin.SetApiDown(command.value("on", true)));
  } else if (name == "api-certificate") {
    standin.SetApiCertificate(Certificate(command));
  } else if (name == "proxy-certificate") {
    standin.SetProxyCertificate(Certificate(command));
  } else if (name == "login") {
    Check(standin.WriteLogin(command.at("file").get<std::string>()));
  } else if (name == "counters") {
    answer.update(CountersJson(standin));
  } else if (name == "cpu") {
    answer["own_seconds"] = OwnCpuSeconds();
    answer["server_seconds"] = standin.CpuSecondsOfServers();
  } else if (name != "quit") {
    throw BadCommand{fmt::format("no such command: \"{}\"", name)};
  }
  return answer;
}

}  // namespace

std::string Coordinates(Standin& standin, const std::string& control_socket) {
  json nodes = json::array();
  for (int index = 0; index < standin.nodes(); ++index) {
    const Node& node = standin.node(index);
    nodes.push_back({{"directory", node.directory()},
                     {"sshd_pid", node.pid()},
                     {"sshd_port", node.port()},
                     {"plain_port", standin.plain_port(index)},
                     {"host_key", node.host_key()}});
  }
  return json{{"api_url", standin.api_url()},     {"proxy_address", standin.proxy_address()},
              {"ca_file", standin.ca_file()},     {"directory", standin.directory()},
              {"control_socket", control_socket}, {"pid", ::getpid()},
              {"env", standin.Environment()},     {"nodes", nodes}}
      .dump();
}

std::string Execute(Standin& standin, const std::string& line) {
  std::string why;
  try {
    const json command = json::parse(line);
    return Answer(standin, command).dump(-1, ' ', false, json::error_handler_t::replace);
  } catch (const BadCommand& bad) {
    why = bad.why;
  } catch (const json::exception& bad) {
    why = bad.what();
  }
  return json{{"ok", false}, {"error", why}}.dump(-1, ' ', false, json::error_handler_t::replace);
}

bool IsQuit(const std::string& line) {
  const json command = json::parse(line, nullptr, false);
  return command.is_object() && command.contains("cmd") && command["cmd"] == "quit";
}

}  // namespace bt::standin
