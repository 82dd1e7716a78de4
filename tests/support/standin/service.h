// What the service knows and answers: jobs, models, keys, signatures. No network here.
#pragma once

#include <atomic>
#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "tests/support/standin/http.h"
#include "tests/support/standin/jwt.h"
#include "tests/support/standin/ssh_authority.h"
#include "transport/base/sync.h"

namespace bt::standin {

struct Job {
  std::string id{};
  std::string project_id = "prj12345";
  std::string project_name = "stand-in project";
  std::string state = "TRAINING_JOB_RUNNING";
};

struct Model {
  std::string id{};
  std::string deployment_id{};
};

// How long what the sign call hands out is good for. Negative: it has expired already.
struct Lifetimes {
  std::chrono::seconds certificate{3600};
  std::chrono::seconds token{300};
  bool token_single_use = false;
};

struct ServiceConfig {
  std::string api_key;
  std::string proxy_address;  // host:port
  int nodes = 1;              // of every job
  std::vector<Job> jobs;
  std::vector<Model> models;
  Lifetimes lifetimes;
};

// Threading: any thread.
class Service {
 public:
  Service(ServiceConfig config, SshAuthority& authority, TokenIssuer& tokens);

  // Blocks while a certificate is signed.
  HttpResponse Answer(const HttpRequest& request);

  // "search", "sign", "job", "checkpoint_files" or "other": how calls are counted and faults are aimed.
  static std::string Endpoint(const HttpRequest& request);

  void SetJobState(const std::string& job, const std::string& state);  // adds the job when it is unknown
  void SetLifetimes(const Lifetimes& lifetimes);
  Lifetimes lifetimes() const;

 private:
  HttpResponse Search(const HttpRequest& request);
  HttpResponse DescribeJob(const std::string& project, const std::string& id);
  HttpResponse SignForJob(const std::string& project, const std::string& id, const HttpRequest& request);
  HttpResponse SignForModel(const std::string& model, const std::string& deployment, const HttpRequest& request);
  HttpResponse Sign(const HttpRequest& request, const std::string& subject, int node, const std::string& user);

  const ServiceConfig config_;
  SshAuthority& authority_;
  TokenIssuer& tokens_;
  mutable Mutex mutex_;
  std::map<std::string, Job> jobs_ GUARDED_BY(mutex_);
  Lifetimes lifetimes_ GUARDED_BY(mutex_);
};

}  // namespace bt::standin
