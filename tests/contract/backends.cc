#include "tests/contract/fake_backend.h"
#include "tests/contract/sftp_server_backend.h"
#include "tests/contract/ssh_backend.h"

namespace bt::contract {

std::vector<BackendKind> FullBackends() {
  return {{"Fake", [] { return MakeFakeBackend(false); }},
          {"SftpServer", [] { return MakeSftpServerBackend(false); }},
          {"Ssh", MakeSshBackend},
          {"SshLanes", MakeLanesBackend}};
}

std::vector<BackendKind> BareBackends() {
  return {{"Fake", [] { return MakeFakeBackend(true); }}, {"SftpServer", [] { return MakeSftpServerBackend(true); }}};
}

}  // namespace bt::contract
