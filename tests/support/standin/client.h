// The client's side of the access path, for real ssh and sftp clients: a ProxyCommand, and certificates for it.
//
// Reads BASETEN_BASE_URL, BASETEN_API_KEY and SSL_CERT_FILE from the environment. Blocking; one thread.
#pragma once

#include <string>

#include "transport/base/result.h"

namespace bt::standin {

struct ClientTarget {
  std::string job;
  std::string node = "0";

  // "training-job-<job>-<node>[...]" as ssh's %h has it, "<job>/<node>", or "<job>".
  static Result<ClientTarget> Parse(std::string text);
};

struct SignAnswer {
  std::string certificate;
  std::string token;
  std::string proxy_address;
};

// The two calls, search and sign. Errors carry the service's status and text.
Result<SignAnswer> RequestAccess(const ClientTarget& target, const std::string& public_key);

// `bt-standin sign`: makes `key_file` with ssh-keygen when missing and writes `key_file`-cert.pub.
Status SignKey(const ClientTarget& target, const std::string& key_file);

// `bt-standin connect`: signs for a token, opens the proxy, and relays between it and standard input and output until
// either ends. Nothing secret touches the disk.
Status ConnectStdio(const ClientTarget& target, const std::string& key_file);

}  // namespace bt::standin
