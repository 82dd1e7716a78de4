// A call whose time is over, or that was cancelled, does nothing, and says so.
#include <functional>

#include "tests/contract/contract_test.h"

namespace bt::contract {
namespace {

class Context : public ContractTest {
 protected:
  using Call = std::function<std::optional<Error>(const OpContext&)>;

  template <typename T>
  static std::optional<Error> ErrorOf(const Result<T>& result) {
    return result.ok() ? std::nullopt : std::optional(result.error());
  }

  // Every method, with arguments that would succeed.
  std::vector<std::pair<std::string, Call>> Calls() {
    server().WriteFile(P("file"), "content");
    server().WriteFile(P("other"), "other");
    server().MakeDirectory(P("dir"));
    server().MakeLink(P("link"), "file");
    file_ = Open(P("file"), kReadWrite);
    other_ = Open(P("other"), kReadWrite);
    return {
        {"Lstat", [this](auto& ctx) { return ErrorOf(fs().Lstat(ctx, P("file"))); }},
        {"Stat", [this](auto& ctx) { return ErrorOf(fs().Stat(ctx, P("file"))); }},
        {"SetAttributes mode",
         [this](auto& ctx) { return ErrorOf(fs().SetAttributes(ctx, P("file"), PermissionsChange(0600))); }},
        {"SetAttributes size",
         [this](auto& ctx) { return ErrorOf(fs().SetAttributes(ctx, P("file"), SizeChange(0))); }},
        {"ReadDirectory", [this](auto& ctx) { return ErrorOf(fs().ReadDirectory(ctx, root())); }},
        {"ReadLink", [this](auto& ctx) { return ErrorOf(fs().ReadLink(ctx, P("link"))); }},
        {"MakeSymlink", [this](auto& ctx) { return ErrorOf(fs().MakeSymlink(ctx, P("new"), "target")); }},
        {"MakeDirectory", [this](auto& ctx) { return ErrorOf(fs().MakeDirectory(ctx, P("new"), 0755)); }},
        {"RemoveFile", [this](auto& ctx) { return ErrorOf(fs().RemoveFile(ctx, P("file"))); }},
        {"RemoveDirectory", [this](auto& ctx) { return ErrorOf(fs().RemoveDirectory(ctx, P("dir"))); }},
        {"Rename", [this](auto& ctx) { return ErrorOf(fs().Rename(ctx, P("file"), P("new"), RenameMode::kReplace)); }},
        {"Rename without replacing",
         [this](auto& ctx) { return ErrorOf(fs().Rename(ctx, P("file"), P("new"), RenameMode::kNoReplace)); }},
        {"MakeHardLink", [this](auto& ctx) { return ErrorOf(fs().MakeHardLink(ctx, P("file"), P("new"))); }},
        {"Open", [this](auto& ctx) { return ErrorOf(fs().Open(ctx, P("new"), kCreate, 0644)); }},
        {"StatFs", [this](auto& ctx) { return ErrorOf(fs().StatFs(ctx, root())); }},
        {"RealPath", [this](auto& ctx) { return ErrorOf(fs().RealPath(ctx, ".")); }},
        {"CopyRange", [this](auto& ctx) { return ErrorOf(fs().CopyRange(ctx, *file_, 0, *other_, 0, 7)); }},
        {"Read",
         [this](auto& ctx) {
           std::vector<std::byte> buffer(10);
           return ErrorOf(file_->Read(ctx, 0, buffer));
         }},
        {"Write", [this](auto& ctx) { return ErrorOf(file_->Write(ctx, 0, Bytes("WRITTEN"))); }},
        {"file Stat", [this](auto& ctx) { return ErrorOf(file_->Stat(ctx)); }},
        {"file SetAttributes", [this](auto& ctx) { return ErrorOf(file_->SetAttributes(ctx, SizeChange(0))); }},
        {"Sync", [this](auto& ctx) { return ErrorOf(file_->Sync(ctx)); }},
    };
  }

  void ExpectAllFail(const OpContext& ctx, Code code) {
    const auto calls = Calls();
    const std::set<std::string> names = List(root());
    const Attributes file = server().Lstat(P("file"));
    for (const auto& [name, call] : calls) {
      const std::optional<Error> error = call(ctx);
      ASSERT_TRUE(error) << name;
      EXPECT_EQ(error->code, code) << name << ": " << Describe(*error);
      EXPECT_EQ(error->fate, Fate::kNotSent) << name;
    }
    EXPECT_EQ(List(root()), names);
    EXPECT_EQ(server().Lstat(P("file")), file);
    EXPECT_EQ(server().ReadFile(P("file")), "content");
    EXPECT_EQ(server().ReadFile(P("other")), "other");
    EXPECT_TRUE(fs().Lstat(Ctx(), P("file")).ok()) << "the next call is none the worse";
  }

  std::unique_ptr<RemoteFile> file_;
  std::unique_ptr<RemoteFile> other_;
};
INSTANTIATE_TEST_SUITE_P(, Context, testing::ValuesIn(FullBackends()), KindName);

TEST_P(Context, PastItsDeadlineLeavesNoTrace) { ExpectAllFail(OpContext{Clock::now(), {}}, Code::kTimedOut); }

TEST_P(Context, ThatWasCancelledLeavesNoTrace) {
  std::stop_source source;
  source.request_stop();
  ExpectAllFail(OpContext{TimePoint::max(), source.get_token()}, Code::kInterrupted);
}

TEST_P(Context, WithoutDeadlineSucceeds) {
  // Each call on fresh files, since some of them remove what others need.
  const std::size_t count = Calls().size();
  for (std::size_t i = 0; i < count; ++i) {
    file_.reset();
    other_.reset();
    for (const std::string& name : List(root())) {
      server().Remove(P(name));
    }
    const auto [name, call] = Calls()[i];
    const std::optional<Error> error = call(OpContext{});
    EXPECT_FALSE(error) << name << ": " << Describe(*error);
  }
}

TEST_P(Context, ErrorsOfTheServerAreAnswers) {
  server().MakeDirectory(P("dir"));
  EXPECT_EQ(fs().Lstat(Ctx(), P("none")).error().fate, Fate::kAnswered);
  EXPECT_EQ(fs().RemoveFile(Ctx(), P("none")).error().fate, Fate::kAnswered);
  EXPECT_EQ(fs().MakeDirectory(Ctx(), P("dir"), 0755).error().fate, Fate::kAnswered);
  EXPECT_EQ(fs().Open(Ctx(), P("none"), kRead, 0).error().fate, Fate::kAnswered);
}

}  // namespace
}  // namespace bt::contract
