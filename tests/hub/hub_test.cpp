// Models by name, from a hub on the loopback: what is asked for, what lies in the cache afterwards, and what
// is refused.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "tests/files.h"
#include "tests/hub/server.h"
#include "tools/hub/cache.h"
#include "tools/hub/checksum.h"
#include "tools/hub/errors.h"
#include "tools/hub/http.h"
#include "tools/hub/model.h"
#include "tools/hub/progress.h"

namespace lethe::test {
namespace {

namespace fs = std::filesystem;

const HubName tiny{.repository = "owner/tiny", .revision = "main", .file = ""};

std::string bytes_of(size_t count) {
  std::string bytes;
  for (size_t i = 0; i < count; ++i) bytes += static_cast<char>(i * i % 251);
  return bytes;
}

HubContents tiny_contents() {
  return {.files = {{"config.json", "{\"hidden_size\": 8}"},
                    {"model.safetensors", bytes_of(300'001)},
                    {"tokenizer.json", "{}"},
                    {"README.md", "read me"},
                    {"pytorch_model.bin", "never asked for"}},
          .large = {"model.safetensors"},
          .change = {}};
}

// A hub, an empty cache, and settings that bring them together. Tries follow each other at once.
struct Scene {
  explicit Scene(HubContents contents = tiny_contents()) : hub(std::move(contents)) {
    settings.endpoint = hub.url();
    settings.cache = cache.path();
    settings.retry_seconds = 0;
  }
  std::string get(HubPart part = HubPart::model, const HubName& name = tiny) const {
    return hub_model(name, part, settings);
  }
  std::string folder() const { return cache / "models--owner--tiny"; }
  std::string snapshot() { return folder() + "/snapshots/" + hub.contents().commit; }
  std::string blob(const std::string& file) const { return folder() + "/blobs/" + hub.checksum(file); }

  TestHub hub;
  Folder cache;
  HubSettings settings;
};

std::vector<std::string> names_in(const std::string& folder) {
  std::vector<std::string> names;
  if (!fs::exists(folder)) return names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename().string());
  std::ranges::sort(names);
  return names;
}

int64_t gets_of(const std::vector<ServerRequest>& requests, const std::string& file) {
  return std::ranges::count_if(
      requests, [&](const ServerRequest& r) { return r.method == "GET" && r.path.ends_with("/" + file); });
}

// Replaces every answer to a GET of the file.
auto instead(const std::string& file, ServerReply reply) {
  return [=](const ServerRequest& request, ServerReply& answer) {
    if (request.method == "GET" && request.path.ends_with(file) && answer.status < 300) answer = reply;
  };
}

TEST(HubName, AnOwnerANameAndARevision) {
  EXPECT_EQ(parse_hub_name("HuggingFaceTB/SmolLM2-135M"),
            (HubName{.repository = "HuggingFaceTB/SmolLM2-135M", .revision = "main", .file = ""}));
  EXPECT_EQ(parse_hub_name("a/b@refs/pr/1"),
            (HubName{.repository = "a/b", .revision = "refs/pr/1", .file = ""}));
  EXPECT_EQ(parse_hub_name("a/b-GGUF/b.Q4_K.gguf@v1.0"),
            (HubName{.repository = "a/b-GGUF", .revision = "v1.0", .file = "b.Q4_K.gguf"}));
  for (const char* text : {"",
                           "gpt2",
                           "/a/b",
                           "a/",
                           "/b",
                           "a/b/c",
                           "a//b",
                           "./a",
                           "../a",
                           "a/..",
                           "a/b..c",
                           "a/b--c",
                           "a/b.git",
                           "a/-b",
                           "a/b.",
                           "a b/c",
                           "a/b@",
                           "a/b@../c",
                           "a/b@/etc",
                           "a/b@x//y",
                           "~/a",
                           "a/b?c",
                           "configs/x.yaml",
                           "a/t.json",
                           "a/b/../x.gguf",
                           "a/b/.gguf",
                           "a/b/c/d.gguf"}) {
    EXPECT_FALSE(parse_hub_name(text)) << text;
  }
  EXPECT_FALSE(parse_hub_name("a/" + std::string(95, 'b')));
  EXPECT_TRUE(parse_hub_name("a/" + std::string(94, 'b')));
}

// sha256sum and git hash-object of the same bytes.
TEST(HubChecksum, IsThatOfTheirTools) {
  const Folder folder;
  const std::string abc = write_text(folder / "abc", "abc"), hello = write_text(folder / "hello", "hello\n"),
                    empty = write_text(folder / "empty", "");
  const std::string sha256(64, '0'), git(40, '0');
  EXPECT_EQ(checksum_like(sha256, abc), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(checksum_like(git, hello), "ce013625030ba8dba906f756967f9e9ca394464a");
  EXPECT_EQ(checksum_like(git, empty), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
  EXPECT_TRUE(is_checksum(git) && is_checksum(sha256));
  EXPECT_FALSE(is_checksum(std::string(40, 'A')) || is_checksum(std::string(39, '0')) ||
               is_checksum("../" + git));
  EXPECT_THROW(checksum_like(git, folder / "none"), IoError);
}

TEST(HubSettings, ComeFromHuggingFacesVariables) {
  const char* names[] = {"HF_ENDPOINT",
                         "HF_HUB_CACHE",
                         "HUGGINGFACE_HUB_CACHE",
                         "HF_HOME",
                         "XDG_CACHE_HOME",
                         "HF_TOKEN",
                         "HUGGING_FACE_HUB_TOKEN",
                         "HF_TOKEN_PATH",
                         "HF_HUB_OFFLINE",
                         "TRANSFORMERS_OFFLINE",
                         "HF_HUB_DISABLE_IMPLICIT_TOKEN"};
  for (const char* name : names) ::unsetenv(name);
  const Folder folder;
  const std::string home = std::getenv("HOME") == nullptr ? "" : std::getenv("HOME");
  const auto now = [] { return HubSettings::of_environment(); };
  ::setenv("HOME", folder.path().c_str(), 1);
  EXPECT_EQ(now().endpoint, "https://huggingface.co");
  EXPECT_EQ(now().cache, folder / ".cache/huggingface/hub");
  EXPECT_EQ(now().token, "");
  EXPECT_FALSE(now().offline);
  ::setenv("HF_ENDPOINT", "http://mirror:8000//", 1);
  EXPECT_EQ(now().endpoint, "http://mirror:8000");
  ::setenv("XDG_CACHE_HOME", "/x", 1);
  EXPECT_EQ(now().cache, "/x/huggingface/hub");
  ::setenv("HF_HOME", "~/hf", 1);
  EXPECT_EQ(now().cache, folder / "hf/hub");
  fs::create_directories(folder / "hf");
  write_text(folder / "hf/token", "from_file \n");
  EXPECT_EQ(now().token, "from_file");
  ::setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1", 1);
  EXPECT_EQ(now().token, "");
  ::setenv("HF_TOKEN", " given\n", 1);
  EXPECT_EQ(now().token, "given");
  ::setenv("HF_HUB_CACHE", "/c", 1);
  EXPECT_EQ(now().cache, "/c");
  ::setenv("HF_HUB_OFFLINE", "yes", 1);
  EXPECT_TRUE(now().offline);
  ::setenv("HF_HUB_OFFLINE", "0", 1);
  EXPECT_FALSE(now().offline);
  for (const char* name : names) ::unsetenv(name);
  ::unsetenv("HOME");
  EXPECT_THROW(now(), RequestError);
  ::setenv("HOME", home.c_str(), 1);
}

TEST(Hub, BringsWhatIsNeededInTheCachesLayout) {
  Scene scene;
  EXPECT_EQ(scene.get(), scene.snapshot());
  EXPECT_EQ(names_in(scene.snapshot()),
            (std::vector<std::string>{"config.json", "model.safetensors", "tokenizer.json"}));
  for (const std::string& file : names_in(scene.snapshot())) {
    const std::string path = scene.snapshot() + "/" + file;
    EXPECT_EQ(fs::read_symlink(path), "../../blobs/" + scene.hub.checksum(file)) << file;
    EXPECT_TRUE(read_bytes(path) == scene.hub.contents().files.at(file)) << file;
  }
  EXPECT_EQ(read_bytes(scene.folder() + "/refs/main"), scene.hub.contents().commit);
  EXPECT_EQ(names_in(scene.folder() + "/blobs").size(), 3u) << "nothing is left of the downloads";
  EXPECT_TRUE(fs::exists(scene.folder() + "/.no_exist/" + scene.hub.contents().commit + "/tokenizer.model"));
  EXPECT_EQ(gets_of(scene.hub.requests(), "README.md") + gets_of(scene.hub.requests(), "pytorch_model.bin"),
            0);

  scene.hub.forget_requests();
  EXPECT_EQ(scene.get(), scene.snapshot());
  EXPECT_EQ(scene.get(HubPart::tokenizer), scene.snapshot());
  EXPECT_EQ(scene.get(HubPart::config), scene.snapshot());
  EXPECT_EQ(scene.get(HubPart::model, {.repository = "owner/tiny", .revision = scene.hub.contents().commit}),
            scene.snapshot());
  EXPECT_TRUE(scene.hub.requests().empty() && scene.hub.store_requests().empty()) << "all of it was there";
}

TEST(Hub, APartBringsNoMoreThanItNeeds) {
  Scene scene;
  EXPECT_EQ(scene.get(HubPart::config), scene.snapshot());
  EXPECT_EQ(names_in(scene.snapshot()), (std::vector<std::string>{"config.json"}));
  EXPECT_EQ(scene.get(HubPart::tokenizer), scene.snapshot());
  EXPECT_EQ(names_in(scene.snapshot()), (std::vector<std::string>{"config.json", "tokenizer.json"}));
  EXPECT_TRUE(scene.hub.store_requests().empty());
}

TEST(Hub, TheTokenGoesToTheHubAlone) {
  Scene scene;
  scene.settings.token = "secret";
  // Renamed: a redirection that stays on the host, where the token must go along.
  scene.hub.contents().change = [](const ServerRequest& request, ServerReply& reply) {
    if (request.path.starts_with("/api/models/old/name/"))
      reply = {.status = 307, .headers = {{"Location", "/api/models/owner/tiny/revision/main"}}};
    if (request.header("authorization") != "Bearer secret" && request.path.starts_with("/api/"))
      reply = {.status = 401};
  };
  EXPECT_EQ(scene.get(), scene.snapshot());
  ASSERT_EQ(gets_of(scene.hub.store_requests(), "model.safetensors"), 1);
  for (const ServerRequest& request : scene.hub.requests())
    EXPECT_EQ(request.header("authorization"), "Bearer secret") << request.path;
  for (const ServerRequest& request : scene.hub.store_requests())
    EXPECT_EQ(request.header("authorization"), "") << request.path;
  scene.hub.forget_requests();
  // Its files lie under the old name, where this hub has none; the list is enough here.
  EXPECT_THROW(scene.get(HubPart::config, {.repository = "old/name"}), HubRefusal);
  ASSERT_GE(scene.hub.requests().size(), 2u);
  EXPECT_EQ(scene.hub.requests()[1].path, "/api/models/owner/tiny/revision/main");
  EXPECT_EQ(scene.hub.requests()[1].header("authorization"), "Bearer secret");
}

TEST(Hub, OriginsAreSchemeHostAndPort) {
  EXPECT_EQ(origin_of("https://Hub.example/a?b=c"), "https://hub.example:443");
  EXPECT_EQ(origin_of("https://hub.example:443/x"), origin_of("https://hub.example"));
  EXPECT_NE(origin_of("http://hub.example"), origin_of("https://hub.example"));
  EXPECT_NE(origin_of("http://hub.example:81"), origin_of("http://hub.example"));
  EXPECT_NE(origin_of("https://hub.example@evil.example/"), origin_of("https://hub.example"));
  EXPECT_NE(origin_of("https://hub.example.evil.example/"), origin_of("https://hub.example"));
}

TEST(Hub, ShardsComeWithTheirIndex) {
  HubContents contents = tiny_contents();
  contents.files.erase("model.safetensors");
  const std::string first = "model-00001-of-00002.safetensors", second = "model-00002-of-00002.safetensors";
  contents.files["model.safetensors.index.json"] =
      nlohmann::json{{"weight_map", {{"a", first}, {"b", second}, {"c", first}}}}.dump();
  contents.files[first] = "one";
  contents.files[second] = "two";
  contents.large = {first, second};
  Scene scene(contents);
  EXPECT_EQ(scene.get(), scene.snapshot());
  EXPECT_EQ(read_bytes(scene.snapshot() + "/" + first), "one");
  EXPECT_EQ(read_bytes(scene.snapshot() + "/" + second), "two");
  scene.hub.forget_requests();
  scene.get();
  EXPECT_TRUE(scene.hub.requests().empty());
  // One shard less, and the model is no longer whole.
  fs::remove(scene.snapshot() + "/" + second);
  scene.get();
  EXPECT_EQ(read_bytes(scene.snapshot() + "/" + second), "two");
  EXPECT_EQ(gets_of(scene.hub.store_requests(), second), 0) << "its blob was still there";

  scene.hub.contents().files["model.safetensors.index.json"] = R"({"weight_map": {"a": "../../../x"}})";
  Scene hostile(scene.hub.contents());
  expect_parts(message_of<FormatError>([&] { hostile.get(); }), {"\"../../../x\"", "no plain file name"});
}

TEST(Hub, AdaptersAndGgufFiles) {
  HubContents contents = tiny_contents();
  contents.files = {
      {"adapter_config.json", "{}"}, {"adapter_model.safetensors", "A"}, {"x.Q8_0.gguf", "GGUF"}};
  Scene scene(contents);
  EXPECT_EQ(scene.get(), scene.snapshot());
  EXPECT_EQ(names_in(scene.snapshot()),
            (std::vector<std::string>{"adapter_config.json", "adapter_model.safetensors"}));
  const HubName file{.repository = "owner/tiny", .revision = "main", .file = "x.Q8_0.gguf"};
  EXPECT_EQ(scene.get(HubPart::tokenizer, file), scene.snapshot() + "/x.Q8_0.gguf");
  EXPECT_EQ(read_bytes(scene.snapshot() + "/x.Q8_0.gguf"), "GGUF");

  contents.files = {{"config.json", "{}"}, {"pytorch_model.bin", "x"}, {"x.Q8_0.gguf", "GGUF"}};
  Scene pickled(contents);
  expect_parts(message_of<HubRefusal>([&] { pickled.get(); }),
               {"owner/tiny", "has no model.safetensors; it has pytorch_model.bin, x.Q8_0.gguf"});
}

TEST(Hub, ACutDownloadGoesOnWhereItWas) {
  Scene scene;
  const std::string& whole = scene.hub.contents().files.at("model.safetensors");
  std::atomic<int> cuts = 2;
  scene.hub.contents().change = [&](const ServerRequest& request, ServerReply& reply) {
    if (request.path == "/model.safetensors" && cuts-- > 0) reply.cut_after = 100'000;
  };
  scene.get();
  EXPECT_TRUE(read_bytes(scene.snapshot() + "/model.safetensors") == whole);
  std::vector<std::string> ranges;
  for (const ServerRequest& r : scene.hub.store_requests()) ranges.push_back(r.header("range"));
  EXPECT_EQ(ranges, (std::vector<std::string>{"", "bytes=100000-", "bytes=200000-"}));
}

TEST(Hub, GoesOnWithWhatAnEarlierProcessLeft) {
  for (const size_t left : {size_t{1}, size_t{300'000}, size_t{300'001}, size_t{400'000}}) {
    Scene scene;
    const std::string& whole = scene.hub.contents().files.at("model.safetensors");
    fs::create_directories(scene.folder() + "/blobs");
    write_text(scene.blob("model.safetensors") + ".incomplete", (whole + whole).substr(0, left));
    scene.get();
    EXPECT_TRUE(read_bytes(scene.snapshot() + "/model.safetensors") == whole) << left;
    EXPECT_EQ(names_in(scene.folder() + "/blobs").size(), 3u);
    const auto asked = scene.hub.store_requests();
    if (left == whole.size()) {
      EXPECT_TRUE(asked.empty());
    } else {
      ASSERT_EQ(asked.size(), 1u);
      EXPECT_EQ(asked[0].header("range"), left < whole.size() ? "bytes=" + std::to_string(left) + "-" : "");
    }
  }
}

TEST(Hub, AServerThatKnowsNoRangesSendsItAllAgain) {
  Scene scene;
  const std::string& whole = scene.hub.contents().files.at("model.safetensors");
  fs::create_directories(scene.folder() + "/blobs");
  write_text(scene.blob("model.safetensors") + ".incomplete", "wrong bytes, of no use");
  scene.hub.contents().change = instead("/model.safetensors", {.body = whole});
  scene.get();
  EXPECT_TRUE(read_bytes(scene.snapshot() + "/model.safetensors") == whole);
}

// A part that is not the beginning of the file is told by its checksum, removed, and the next call begins
// anew.
TEST(Hub, AWrongChecksumIsRefused) {
  for (const std::string file : {"model.safetensors", "config.json"}) {
    Scene scene;
    const std::string& whole = scene.hub.contents().files.at(file);
    std::string other = whole;
    other[whole.size() / 2] ^= 1;
    scene.hub.contents().change = instead("/" + file, {.body = other});
    expect_parts(message_of<HubFailure>([&] { scene.get(); }),
                 {scene.hub.url() + "/owner/tiny/resolve/", "/" + file + ": ", "its checksum is ",
                  scene.hub.checksum(file) + " was promised"});
    EXPECT_FALSE(fs::exists(scene.snapshot() + "/" + file));
    EXPECT_FALSE(fs::exists(scene.blob(file)));
    EXPECT_FALSE(fs::exists(scene.blob(file) + ".incomplete"));
    EXPECT_FALSE(fs::exists(scene.folder() + "/refs/main"));
    scene.hub.contents().change = {};
    scene.get();
    EXPECT_TRUE(read_bytes(scene.snapshot() + "/" + file) == whole);
  }
}

TEST(Hub, WrongSizesAndChecksumsOfAnotherKindAreRefused) {
  Scene scene;
  scene.hub.contents().change = instead("/config.json", {.body = "{\"hidden_size\": 8} and more"});
  expect_parts(message_of<HubFailure>([&] { scene.get(); }), {"sends more than the file's 18 bytes"});
  scene.hub.contents().change = [](const ServerRequest& request, ServerReply& reply) {
    if (request.path.ends_with("/config.json")) reply.headers["ETag"] = "\"../../../../x\"";
  };
  expect_parts(message_of<HubFailure>([&] { scene.get(); }), {"\"../../../../x\" is neither a SHA-256 nor"});
  scene.hub.contents().change = instead("/revision/main", {.body = "<html>not a hub</html>"});
  expect_parts(message_of<HubFailure>([&] { scene.get(); }), {"is no list of a model's files"});
  scene.hub.contents().change = instead("/revision/main", {.body = R"({"sha": "../x", "siblings": []})"});
  expect_parts(message_of<HubFailure>([&] { scene.get(); }), {"\"../x\", which is no commit"});
  scene.hub.contents().change = [](const ServerRequest& request, ServerReply& reply) {
    reply = {.status = 302, .headers = {{"Location", request.path}}};
  };
  expect_parts(message_of<HubFailure>([&] { scene.get(); }), {"redirected more than 10 times"});
}

TEST(Hub, RefusalsSayWhatToDo) {
  struct Case {
    long status;
    std::string code;
    bool token;
    std::vector<std::string> parts;
  };
  const std::vector<Case> cases = {
      {401, "", false, {"no model owner/tiny, or it is private", "HF_TOKEN", "HTTP 401"}},
      {401, "RepoNotFound", true, {"the token that was sent may not read it"}},
      {401, "GatedRepo", false, {"gated: accept its terms at", "/owner/tiny; give a token", "HF_TOKEN"}},
      {403, "GatedRepo", true, {"gated: accept its terms at", "token that was sent", "HTTP 403"}},
      {403, "", true, {"access is forbidden: the token that was sent may not read it"}},
      {404, "RepoNotFound", false, {"no model owner/tiny", "HTTP 404"}},
      {404, "RevisionNotFound", false, {"owner/tiny has no revision main"}},
      {400, "", false, {"refused", "HTTP 400"}},
  };
  for (const Case& c : cases) {
    Scene scene;
    if (c.token) scene.settings.token = "secret";
    scene.hub.contents().change = [&](const ServerRequest&, ServerReply& reply) {
      reply = {.status = static_cast<int>(c.status), .headers = {{"X-Error-Code", c.code}}};
    };
    try {
      scene.get();
      ADD_FAILURE() << c.status;
    } catch (const HubRefusal& e) {
      EXPECT_EQ(e.status, c.status);
      EXPECT_EQ(e.url, scene.hub.url() + "/api/models/owner/tiny/revision/main");
      expect_parts(e.what(), c.parts);
      EXPECT_EQ(std::string(e.what()).find("secret"), std::string::npos);
    }
    EXPECT_EQ(scene.hub.requests().size(), 1u) << "no second try of what stays so";
    EXPECT_FALSE(fs::exists(scene.folder())) << "nothing was written";
  }
  // A file of a gated model whose list all may see.
  Scene scene;
  scene.hub.contents().change = [](const ServerRequest& request, ServerReply& reply) {
    if (request.path.find("/resolve/") != std::string::npos)
      reply = {.status = 401, .headers = {{"X-Error-Code", "GatedRepo"}}};
  };
  expect_parts(message_of<HubRefusal>([&] { scene.get(); }),
               {"/resolve/", "/tokenizer.json: the model is gated"});
  Scene revision;
  expect_parts(message_of<HubRefusal>([&] {
                 revision.get(HubPart::model, {.repository = "owner/tiny", .revision = "refs/pr/7"});
               }),
               {"owner/tiny has no revision refs/pr/7"});
  EXPECT_EQ(revision.hub.requests()[0].path, "/api/models/owner/tiny/revision/refs%2Fpr%2F7");
}

TEST(Hub, PassingTroubleIsTriedAgain) {
  Scene scene;
  std::atomic<int> troubles = 4;
  scene.hub.contents().change = [&](const ServerRequest& request, ServerReply& reply) {
    if (request.path == "/model.safetensors" && troubles-- > 0)
      reply = {.status = troubles % 2 == 0 ? 503 : 429};
  };
  EXPECT_EQ(scene.get(), scene.snapshot());
  EXPECT_EQ(scene.hub.store_requests().size(), 5u);

  Scene down;
  down.hub.contents().change = [](const ServerRequest&, ServerReply& reply) { reply = {.status = 500}; };
  try {
    down.get();
    ADD_FAILURE();
  } catch (const HubFailure& e) {
    EXPECT_EQ(e.status, 500);
    expect_parts(e.what(), {"HTTP 500", "gave up after 5 tries"});
  }
}

TEST(Hub, OfflineWhatIsThereMustDo) {
  Scene scene;
  scene.settings.offline = true;
  expect_parts(message_of<HubRefusal>([&] { scene.get(); }),
               {"owner/tiny", "revision main is not in " + scene.cache.path(), "HF_HUB_OFFLINE"});
  EXPECT_TRUE(scene.hub.requests().empty());
  scene.settings.offline = false;
  scene.get();
  // As huggingface_hub leaves it: nothing is known of the files that are not there.
  fs::remove_all(scene.folder() + "/.no_exist");
  scene.hub.forget_requests();
  scene.settings.offline = true;
  EXPECT_EQ(scene.get(), scene.snapshot());
  EXPECT_TRUE(scene.hub.requests().empty());
  scene.settings.offline = false;
  EXPECT_EQ(scene.get(), scene.snapshot());
  EXPECT_EQ(scene.hub.requests().size(), 1u) << "the list alone";
  fs::remove(scene.snapshot() + "/model.safetensors");
  scene.settings.offline = true;
  EXPECT_THROW(scene.get(), HubRefusal);
  EXPECT_EQ(scene.get(HubPart::tokenizer), scene.snapshot());
}

TEST(Hub, WithoutAnAnswerTheCacheMustDo) {
  Scene scene;
  scene.get();
  fs::remove_all(scene.folder() + "/.no_exist");
  {
    const HttpServer gone([](const ServerRequest&) { return ServerReply{}; });
    scene.settings.endpoint = gone.url();
  }
  EXPECT_EQ(scene.get(), scene.snapshot());
  EXPECT_THROW(scene.get(HubPart::model, {.repository = "owner/other"}), HubFailure);
  scene.settings.endpoint = scene.hub.url();
  scene.hub.contents().change = [](const ServerRequest&, ServerReply& reply) { reply = {.status = 401}; };
  EXPECT_EQ(scene.get(), scene.snapshot());
  EXPECT_THROW(scene.get(HubPart::model, {.repository = "owner/other"}), HubRefusal);
}

TEST(Hub, AnotherCommitIsAnotherFolder) {
  Scene scene;
  const std::string old = scene.hub.contents().commit, tag = "v1";
  scene.get();
  scene.hub.contents().commit = std::string(40, 'a');
  scene.hub.contents().files["config.json"] = "{\"hidden_size\": 16}";
  scene.hub.forget_requests();
  EXPECT_EQ(scene.get(), scene.folder() + "/snapshots/" + old) << "main stays what it was here";
  EXPECT_TRUE(scene.hub.requests().empty());
  EXPECT_EQ(scene.get(HubPart::model, {.repository = "owner/tiny", .revision = std::string(40, 'a')}),
            scene.snapshot());
  EXPECT_EQ(read_bytes(scene.snapshot() + "/config.json"), "{\"hidden_size\": 16}");
  EXPECT_TRUE(scene.hub.store_requests().empty()) << "the weights are the same blob";
  EXPECT_EQ(read_bytes(scene.folder() + "/refs/main"), old);
}

TEST(Hub, APathIsNeverAskedFor) {
  const Folder folder;
  fs::create_directories(folder / "here");
  const fs::path before = fs::current_path();
  fs::current_path(folder.path());
  ::setenv("HF_HUB_OFFLINE", "1", 1);
  ::setenv("HF_HUB_CACHE", (folder / "cache").c_str(), 1);
  EXPECT_EQ(local_model("here"), "here");
  EXPECT_EQ(local_model("here/nothing"), "here/nothing");
  EXPECT_EQ(local_model("./owner/tiny"), "./owner/tiny");
  EXPECT_EQ(local_model("/owner/tiny"), "/owner/tiny");
  expect_parts(message_of<HubRefusal>([&] { local_model("owner/tiny"); }),
               {"HF_HUB_OFFLINE", "Nor is there a folder or file owner/tiny"});
  EXPECT_EQ(cached_model("owner/tiny"), "owner/tiny");
  ::unsetenv("HF_HUB_OFFLINE");
  ::unsetenv("HF_HUB_CACHE");
  fs::current_path(before);
}

TEST(HubProgress, OneLine) {
  EXPECT_EQ(download_line("a", 5'000'000, 20'000'000, 0, 2), "a: 5.0 of 20.0 MB, 2.5 MB/s, 0:06 left");
  EXPECT_EQ(download_line("a", 20'000'000, 20'000'000, 10'000'000, 4), "a: 20.0 of 20.0 MB, 2.5 MB/s");
  EXPECT_EQ(download_line("a", 0, 1'000'000, 0, 0), "a: 0.0 of 1.0 MB");
}

}  // namespace
}  // namespace lethe::test
