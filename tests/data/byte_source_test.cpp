#include "data/byte_source.h"

#include "engine/error.h"
#include "tests/data/compress.h"
#include "tests/data/files.h"

namespace lethe {
namespace {

std::string all_of(const std::string& path, size_t step) {
  const auto source = open_bytes(path);
  std::string bytes, buffer(step, '\0');
  while (const size_t got = source->read(buffer.data(), step)) bytes.append(buffer, 0, got);
  return bytes;
}

// Neither all alike nor all different, and longer than any buffer on the way.
std::string sample(size_t size) {
  std::string text;
  for (uint32_t i = 0; text.size() < size; ++i) text += std::to_string(i * 2654435761u % 9973) + "\n";
  text.resize(size);
  return text;
}

std::string (*const packers[])(const std::string&) = {gzip_of, xz_of, zstd_of};

TEST(ByteSource, UndoesEveryCompressionWhateverTheName) {
  const Folder folder;
  for (const size_t size : {size_t{0}, size_t{1}, size_t{1025}, size_t{300007}}) {
    const std::string text = sample(size);
    EXPECT_EQ(all_of(folder.write("plain", text), 4096), text);
    for (const auto pack : packers) {
      const std::string path = folder.write("packed", pack(text));
      for (const size_t step : {size_t{7}, size_t{65536}, size_t{1} << 20})
        EXPECT_EQ(all_of(path, step), text);
    }
  }
}

// What unpacks to far more than went in comes in pieces: nothing of its size is ever held.
TEST(ByteSource, UnpacksWhatIsAllAlike) {
  const Folder folder;
  const std::string text(20'000'000, 'x');
  for (const auto pack : packers) {
    const std::string path = folder.write("bomb", pack(text));
    EXPECT_TRUE(all_of(path, 1000) == text);
  }
}

TEST(ByteSource, JoinsWhatWasAppended) {
  const Folder folder;
  for (const auto pack : packers) {
    EXPECT_EQ(all_of(folder.write("two", pack("one ") + pack("two")), 3), "one two");
  }
}

TEST(ByteSource, RefusesWhatIsCutOrDamaged) {
  const Folder folder;
  const std::string text = sample(30000);
  for (const auto pack : packers) {
    const std::string whole = pack(text);
    for (const size_t left : {size_t{7}, whole.size() / 2, whole.size() - 1}) {
      const std::string path = folder.write("cut", whole.substr(0, left));
      const auto error = error_of<FormatError>([&] { all_of(path, 5000); });
      EXPECT_NE(std::string(error.what()).find("broken or truncated"), std::string::npos) << error.what();
      EXPECT_EQ(error.file, path);
    }
    std::string damaged = whole;
    damaged[whole.size() / 2] = static_cast<char>(damaged[whole.size() / 2] ^ 0x55);
    // zstd without a checksum cannot tell every damage; it must not read on for ever or crash.
    try {
      EXPECT_LE(all_of(folder.write("damaged", damaged), 5000).size(), size_t{1} << 20);
    } catch (const FormatError&) {
    }
  }
  EXPECT_THROW(open_bytes(folder / "none"), IoError);
}

TEST(ByteSource, KnowsTheEndingsOfCompression) {
  EXPECT_EQ(without_compression("a/b.jsonl.xz"), "a/b.jsonl");
  EXPECT_EQ(without_compression("b.txt.zst"), "b.txt");
  EXPECT_EQ(without_compression("b.gz"), "b");
  EXPECT_EQ(without_compression("b.bz2"), "b.bz2");
}

}  // namespace
}  // namespace lethe
