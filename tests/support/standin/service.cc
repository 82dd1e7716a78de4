#include "tests/support/standin/service.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

namespace bt::standin {
namespace {

using nlohmann::json;

constexpr const char* kRunning = "TRAINING_JOB_RUNNING";

std::vector<std::string> SplitPath(std::string_view path) {
  std::vector<std::string> parts;
  while (!path.empty()) {
    const std::size_t slash = path.find('/');
    if (const std::string_view part = path.substr(0, slash); !part.empty()) {
      parts.emplace_back(part);
    }
    path = slash == std::string_view::npos ? std::string_view() : path.substr(slash + 1);
  }
  return parts;
}

HttpResponse Json(int status, const json& body) {
  return {.status = status,
          .body = body.dump(-1, ' ', false, json::error_handler_t::replace),
          .content_type = "application/json",
          .headers = {}};
}

HttpResponse Refusal(int status, const std::string& text) { return Json(status, {{"error", text}}); }

// A string of the request's JSON body; empty when it is missing or of another kind. Numbers are taken as well.
std::string Field(const HttpRequest& request, const char* name) {
  const json body = json::parse(request.body, nullptr, false);
  if (!body.is_object() || !body.contains(name)) {
    return {};
  }
  const json& value = body[name];
  if (value.is_number_integer()) {
    return std::to_string(value.get<std::int64_t>());
  }
  return value.is_string() ? value.get<std::string>() : std::string();
}

bool IsHashId(std::string_view id) {
  return !id.empty() && id.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789") == std::string_view::npos;
}

std::string Iso8601(std::chrono::system_clock::time_point time) {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::chrono::system_clock::to_time_t(time)));
}

json JobJson(const Job& job) {
  return {
      {"id", job.id},
      {"created_at", "2026-01-01T00:00:00Z"},
      {"updated_at", "2026-01-01T00:05:00Z"},
      {"current_status", job.state},
      {"training_project_id", job.project_id},
      {"training_project", {{"id", job.project_id}, {"name", job.project_name}}},
      {"instance_type",
       {{"id", "H100:8"}, {"name", "H100:8"}, {"memory_limit_mib", 1000000}, {"gpu_type", "H100"}, {"gpu_count", 8}}}};
}

}  // namespace

Service::Service(ServiceConfig config, SshAuthority& authority, TokenIssuer& tokens)
    : config_(std::move(config)), authority_(authority), tokens_(tokens), lifetimes_(config_.lifetimes) {
  for (const Job& job : config_.jobs) {
    jobs_[job.id] = job;
  }
}

std::string Service::Endpoint(const HttpRequest& request) {
  const std::vector<std::string> parts = SplitPath(request.path);
  if (parts.empty() || parts[0] != "v1") {
    return "other";
  }
  if (request.path == "/v1/training_jobs/search") {
    return "search";
  }
  if (parts.size() == 7 && parts[5] == "ssh" && parts[6] == "sign") {
    return "sign";
  }
  if (parts.size() >= 5 && parts[1] == "training_projects" && parts[3] == "jobs") {
    return parts.size() == 5                                     ? "job"
           : parts.size() == 6 && parts[5] == "checkpoint_files" ? "checkpoint_files"
                                                                 : "other";
  }
  return "other";
}

HttpResponse Service::Answer(const HttpRequest& request) {
  const auto authorization = request.headers.find("authorization");
  if (authorization == request.headers.end()) {
    return Json(403, {{"detail", "Authentication credentials were not provided."}});
  }
  if (authorization->second != "Bearer " + config_.api_key && authorization->second != "Api-Key " + config_.api_key) {
    return Json(401, {{"detail", "Invalid API key"}});
  }
  const std::string endpoint = Endpoint(request);
  const bool reads = endpoint == "job" || endpoint == "checkpoint_files";
  if (endpoint == "other") {
    return Refusal(404, "Not found");
  }
  if (request.method != (reads ? "GET" : "POST")) {
    return Json(405, {{"detail", fmt::format("Method \"{}\" not allowed.", request.method)}});
  }
  if (endpoint == "search") {
    return Search(request);
  }
  const std::vector<std::string> parts = SplitPath(request.path);
  if (endpoint == "job") {
    return DescribeJob(parts[2], parts[4]);
  }
  if (endpoint == "checkpoint_files") {
    return Json(200, {{"presigned_urls", json::array()}, {"next_page_token", nullptr}, {"total_count", 0}});
  }
  if (parts[1] == "training_projects" && parts[3] == "jobs") {
    return SignForJob(parts[2], parts[4], request);
  }
  if (parts[1] == "models" && parts[3] == "deployments") {
    return SignForModel(parts[2], parts[4], request);
  }
  return Refusal(404, "Not found");
}

HttpResponse Service::Search(const HttpRequest& request) {
  const std::string id = Field(request, "job_id");
  if (!IsHashId(id)) {
    return Refusal(400, "Invalid job id: must be a valid hash id");
  }
  json found = json::array();
  MutexLock lock(mutex_);
  if (const auto job = jobs_.find(id); job != jobs_.end()) {
    found.push_back(JobJson(job->second));
  }
  return Json(200, {{"training_jobs", found}});
}

HttpResponse Service::DescribeJob(const std::string& project, const std::string& id) {
  MutexLock lock(mutex_);
  const auto job = jobs_.find(id);
  if (job == jobs_.end() || job->second.project_id != project) {
    return Refusal(404, "Training job not found");
  }
  return Json(200, {{"training_job", JobJson(job->second)},
                    {"training_project", {{"id", job->second.project_id}, {"name", job->second.project_name}}}});
}

HttpResponse Service::SignForJob(const std::string& project, const std::string& id, const HttpRequest& request) {
  {
    MutexLock lock(mutex_);
    const auto job = jobs_.find(id);
    if (job == jobs_.end() || job->second.project_id != project) {
      return Refusal(404, "Training job not found");
    }
    if (job->second.state != kRunning) {
      return Refusal(400, fmt::format("Training job must be in RUNNING state to sign an SSH certificate. "
                                      "Current state: {}",
                                      job->second.state));
    }
  }
  const std::string replica = Field(request, "replica_id");
  int node = -1;
  const auto [end, problem] = std::from_chars(replica.data(), replica.data() + replica.size(), node);
  if (problem != std::errc() || end != replica.data() + replica.size() || node < 0 || node >= config_.nodes) {
    return Refusal(400, fmt::format("Replica {} not found for training job {}", replica, id));
  }
  return Sign(request, id, node, "baseten");
}

HttpResponse Service::SignForModel(const std::string& model, const std::string& deployment,
                                   const HttpRequest& request) {
  const bool known = std::any_of(config_.models.begin(), config_.models.end(), [&](const Model& entry) {
    return entry.id == model && entry.deployment_id == deployment;
  });
  return known ? Sign(request, model, 0, "app") : Refusal(404, "Model deployment not found");
}

HttpResponse Service::Sign(const HttpRequest& request, const std::string& subject, int node, const std::string& user) {
  const Lifetimes lifetimes = this->lifetimes();
  const Result<std::string> certificate =
      authority_.Sign(Field(request, "public_key"), fmt::format("{}-{}", subject, node), user, lifetimes.certificate);
  if (!certificate.ok()) {
    return Refusal(400, certificate.error().text);
  }
  return Json(200, {{"ssh_certificate", *certificate},
                    {"jwt", tokens_.Issue({.subject = subject, .node = node}, lifetimes.token)},
                    {"proxy_address", config_.proxy_address},
                    {"ssh_cert_expires_at", Iso8601(std::chrono::system_clock::now() + lifetimes.certificate)}});
}

void Service::SetJobState(const std::string& job, const std::string& state) {
  MutexLock lock(mutex_);
  Job& entry = jobs_[job];
  entry.id = job;
  entry.state = state;
}

void Service::SetLifetimes(const Lifetimes& lifetimes) {
  MutexLock lock(mutex_);
  lifetimes_ = lifetimes;
}

Lifetimes Service::lifetimes() const {
  MutexLock lock(mutex_);
  return lifetimes_;
}

}  // namespace bt::standin
