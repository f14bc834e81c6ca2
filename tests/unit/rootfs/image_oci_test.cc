#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "rootfs/formats/oci_document.h"

namespace rundlet::rootfs {
namespace {

using nlohmann::json;

constexpr char kIndexType[] = "application/vnd.oci.image.index.v1+json";
constexpr char kManifestType[] = "application/vnd.oci.image.manifest.v1+json";
constexpr char kConfigType[] = "application/vnd.oci.image.config.v1+json";
constexpr char kLayerType[] = "application/vnd.oci.image.layer.v1.tar+gzip";

std::string HexOf(const std::string& text) { return "sha256:" + base::Digest::Of(text).hex(); }

json DescriptorOf(const std::string& type, const std::string& what) {
  return {{"mediaType", type}, {"digest", HexOf(what)}, {"size", 10}};
}

json AManifest() {
  return {{"schemaVersion", 2},
          {"config", DescriptorOf(kConfigType, "config")},
          {"layers", {DescriptorOf(kLayerType, "layer")}}};
}

std::string WhyRefused(const json& document, const char* media_type = "") {
  try {
    ParseManifestOrIndex(document.dump(), media_type);
  } catch (const base::Error& error) {
    EXPECT_EQ(error.fault(), base::Fault::kInvalid);
    return error.Render();
  }
  return "it was not refused";
}

TEST(OciDocument, ReadsAManifest) {
  const auto document = ParseManifestOrIndex(AManifest().dump(), kManifestType);
  const Manifest& manifest = std::get<Manifest>(document);
  EXPECT_EQ(manifest.config.media_type, kConfigType);
  ASSERT_EQ(manifest.layers.size(), 1u);
  EXPECT_EQ("sha256:" + manifest.layers[0].digest.hex(), HexOf("layer"));
  EXPECT_EQ(CompressionOfMediaType(manifest.layers[0].media_type), "gzip");
}

// What a worker answers is read by the engine as the same value.
TEST(OciDocument, SurvivesTheWayFromWorkerToEngine) {
  const base::DocumentOrigin origin{"test", base::Fault::kBug};
  json index = {{"schemaVersion", 2}, {"manifests", {DescriptorOf(kManifestType, "m")}}};
  index["manifests"][0]["platform"] = {
      {"os", "linux"}, {"architecture", "arm64"}, {"variant", "v8"}};
  index["manifests"][0]["annotations"] = {{"org.opencontainers.image.ref.name", "3.11"}};
  const auto parsed = ParseManifestOrIndex(index.dump(), kIndexType);
  const auto again = ManifestOrIndexFromJson(ToJson(parsed), origin);
  EXPECT_EQ(std::get<Index>(parsed).manifests, std::get<Index>(again).manifests);
  EXPECT_EQ(std::get<Index>(again).manifests[0].ref_name, "3.11");

  const ConfigDocument config = ParseConfig(json{
      {"architecture", "amd64"},
      {"os", "linux"},
      {"config", {{"Env", {"A=b"}}, {"User", "1000:0"}, {"Entrypoint", nullptr}, {"Cmd", {"x"}}}},
      {"rootfs", {{"type", "layers"}, {"diff_ids", {HexOf("layer")}}}}}
                                                .dump());
  const ConfigDocument back = ConfigDocumentFromJson(ToJson(config), origin);
  EXPECT_EQ(back.config, config.config);
  EXPECT_EQ(back.diff_ids, config.diff_ids);
  EXPECT_EQ(back.config.user, "1000:0");
}

TEST(OciDocument, RefusesConfusion) {
  json both = AManifest();
  both["manifests"] = json::array();
  EXPECT_NE(WhyRefused(both).find("at once"), std::string::npos);
  json lying = AManifest();
  lying["mediaType"] = kIndexType;
  EXPECT_NE(WhyRefused(lying).find("not what its media type"), std::string::npos);
  EXPECT_NE(WhyRefused(AManifest(), kIndexType).find("not what its media type"), std::string::npos);
  json other = AManifest();
  other["mediaType"] = kManifestType;
  EXPECT_NE(WhyRefused(other, "application/vnd.docker.distribution.manifest.v2+json")
                .find("not the one its descriptor says"),
            std::string::npos);
  json artifact = AManifest();
  artifact["config"]["mediaType"] = "application/vnd.oci.empty.v1+json";
  EXPECT_NE(WhyRefused(artifact).find("no image"), std::string::npos);
  json encrypted = AManifest();
  encrypted["layers"][0]["mediaType"] = "application/vnd.oci.image.layer.v1.tar+gzip+encrypted";
  EXPECT_NE(WhyRefused(encrypted).find("not supported"), std::string::npos);
  json schema = AManifest();
  schema["schemaVersion"] = 1;
  EXPECT_NE(WhyRefused(schema).find("schema 1"), std::string::npos);
}

TEST(OciDocument, RefusesWrongFields) {
  for (const char* digest : {"sha512:aa", "sha256:AA", "", "../../etc/passwd"}) {
    json manifest = AManifest();
    manifest["layers"][0]["digest"] = digest;
    EXPECT_EQ(WhyRefused(manifest).find("error: "), 0u) << digest;
  }
  for (const json& size :
       {json(-1), json(1.5), json("10"), json(uint64_t{1} << 63), json(nullptr)}) {
    json manifest = AManifest();
    manifest["layers"][0]["size"] = size;
    EXPECT_EQ(WhyRefused(manifest).find("error: "), 0u) << size;
  }
  json many = AManifest();
  many["layers"] = std::vector<json>(kMaxLayers + 1, DescriptorOf(kLayerType, "layer"));
  EXPECT_NE(WhyRefused(many).find("more than"), std::string::npos);
  EXPECT_THROW(ParseConfig(R"({"architecture": "amd64", "os": "linux"})"), base::Error);
  EXPECT_THROW(ParseConfig(R"({"architecture": "amd64", "os": "linux", "config": {"Env": ["=x"]},
                               "rootfs": {"type": "layers"}})"),
               base::Error);
  EXPECT_THROW(ParseConfig(R"({"architecture": "amd64", "os": "li\u0000nux",
                               "rootfs": {"type": "layers"}})"),
               base::Error);
}

TEST(OciDocument, RefusesWhatIsNoStrictJson) {
  const base::DocumentOrigin origin{"test", base::Fault::kInvalid};
  EXPECT_THROW(base::ParseJson(R"({"a": 1, "a": 2})", origin), base::Error);
  EXPECT_THROW(base::ParseJson(R"({"a": {"b": 1, "b": 1}})", origin), base::Error);
  EXPECT_NO_THROW(base::ParseJson(R"([{"a": 1}, {"a": 2}])", origin));
  EXPECT_THROW(base::ParseJson("{} {}", origin), base::Error);
  EXPECT_THROW(base::ParseJson("{\"a\": \"\xff\"}", origin), base::Error);
  EXPECT_THROW(base::ParseJson(std::string(100'000, '['), origin), base::Error);
  EXPECT_THROW(base::ParseJson("", origin), base::Error);
}

Descriptor Called(const std::string& ref_name, std::optional<Platform> platform) {
  return {kManifestType, base::Digest::Of(ref_name), 10, std::move(platform), ref_name};
}

TEST(StartDirectory, IsPlain) {
  for (const auto& [said, meant] : std::map<std::string, std::string>{{"", "/"},
                                                                      {"/", "/"},
                                                                      {"srv", "/"},
                                                                      {"../srv", "/"},
                                                                      {"/srv", "/srv"},
                                                                      {"/srv/", "/srv"},
                                                                      {"//srv/./a", "/srv/a"},
                                                                      {"/srv/../a", "/a"},
                                                                      {"/../..", "/"}}) {
    ImageConfig config;
    config.working_dir = said;
    EXPECT_EQ(StartDirectory(config), meant) << said;
  }
}

TEST(ChooseManifest, TakesTheHostsPlatform) {
  const Platform host{"linux", HostPlatform().architecture, ""};
  const Index index{{Called("a", Platform{"windows", "amd64", ""}), Called("b", host),
                     Called("c", Platform{"unknown", "unknown", ""})}};
  EXPECT_EQ(ChooseManifest(index, "x").ref_name, "b");
  EXPECT_THROW(ChooseManifest({{index.manifests[0]}}, "x"), base::Error);
  EXPECT_THROW(ChooseManifest({}, "x"), base::Error);
  // Its programs may use instructions this host lacks.
  EXPECT_THROW(ChooseManifest({{Called("v3", Platform{"linux", host.architecture, "v3"})}}, "x"),
               base::Error);
}

TEST(ChooseManifest, TakesTheOneOfThatName) {
  const Index index{
      {Called("3.11", std::nullopt), Called("docker.io/library/python:3.13", std::nullopt)}};
  EXPECT_EQ(ChooseManifest(index, "python:3.11").ref_name, "3.11");
  EXPECT_EQ(ChooseManifest(index, "python:3.13").ref_name, "docker.io/library/python:3.13");
  try {
    ChooseManifest(index, "other");
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_NE(error.Render().find("`3.11`, `docker.io/library/python:3.13`"), std::string::npos);
  }
}

}  // namespace
}  // namespace rundlet::rootfs
