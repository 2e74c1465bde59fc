#include "data/byte_source.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <lzma.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <vector>

#include "engine/error.h"

namespace lethe {
namespace {

// What a decoder may take at most, in bytes: a file that asks for more is refused. xz -9 needs 65 MiB, zstd
// --ultra -22 128 MiB.
constexpr uint64_t decoder_memory = uint64_t{256} << 20;

class PlainFile final : public ByteSource {
 public:
  explicit PlainFile(const std::string& path)
      : path_(path), file_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    if (file_ < 0) throw IoError(path_, fmt::format("cannot be opened: {}", std::strerror(errno)));
  }
  ~PlainFile() override { ::close(file_); }
  PlainFile(const PlainFile&) = delete;
  PlainFile& operator=(const PlainFile&) = delete;

  size_t read(char* out, size_t size) override {
    while (true) {
      const ssize_t got = ::read(file_, out, size);
      if (got >= 0) return static_cast<size_t>(got);
      if (errno != EINTR) throw IoError(path_, fmt::format("cannot be read: {}", std::strerror(errno)));
    }
  }
  // The first bytes, to be read again.
  std::string peek(size_t size) {
    std::string bytes(size, '\0');
    const ssize_t got = ::pread(file_, bytes.data(), size, 0);
    bytes.resize(got > 0 ? static_cast<size_t>(got) : 0);
    return bytes;
  }

 private:
  std::string path_;
  int file_;
};

// The compressed bytes in hand.
class Packed {
 public:
  explicit Packed(std::unique_ptr<PlainFile> file) : file_(std::move(file)), buffer_(size_t{1} << 16) {}

  // False at the end of the file.
  bool refill() {
    begin_ = 0;
    end_ = file_->read(buffer_.data(), buffer_.size());
    return end_ > 0;
  }
  bool empty() const { return begin_ == end_; }
  char* data() { return buffer_.data() + begin_; }
  size_t size() const { return end_ - begin_; }
  void left(size_t size) { begin_ = end_ - size; }

 private:
  std::unique_ptr<PlainFile> file_;
  std::vector<char> buffer_;
  size_t begin_ = 0, end_ = 0;
};

[[noreturn]] void broken(const std::string& path, const char* kind, const std::string& why) {
  throw FormatError(path, "", fmt::format("broken or truncated {} data ({})", kind, why));
}

class Gzip final : public ByteSource {
 public:
  Gzip(const std::string& path, std::unique_ptr<PlainFile> file) : path_(path), packed_(std::move(file)) {
    if (inflateInit2(&stream_, 15 + 16) != Z_OK) throw IoError(path_, "zlib has no memory");
  }
  ~Gzip() override { inflateEnd(&stream_); }

  size_t read(char* out, size_t size) override {
    stream_.next_out = reinterpret_cast<Bytef*>(out);
    stream_.avail_out = static_cast<uInt>(size);
    while (stream_.avail_out == size) {
      // A stream may have more to give than its last input suggests: then it is asked with none.
      if (packed_.empty() && !pending_ && !packed_.refill()) {
        if (inside_) broken(path_, "gzip", "it stops before its end");
        return 0;
      }
      // Members may follow each other; their bytes are joined.
      if (!inside_) inflateReset(&stream_);
      inside_ = true;
      stream_.next_in = reinterpret_cast<Bytef*>(packed_.data());
      stream_.avail_in = static_cast<uInt>(packed_.size());
      const int status = inflate(&stream_, Z_NO_FLUSH);
      packed_.left(stream_.avail_in);
      if (status == Z_STREAM_END) inside_ = false;
      const bool had_no_more = pending_ && status == Z_BUF_ERROR;
      pending_ = inside_ && stream_.avail_out == 0;
      if (status != Z_STREAM_END && status != Z_OK && !had_no_more) {
        broken(path_, "gzip", stream_.msg == nullptr ? "no gzip stream" : stream_.msg);
      }
    }
    return size - stream_.avail_out;
  }

 private:
  std::string path_;
  Packed packed_;
  z_stream stream_{};
  bool inside_ = false, pending_ = false;
};

class Xz final : public ByteSource {
 public:
  Xz(const std::string& path, std::unique_ptr<PlainFile> file) : path_(path), packed_(std::move(file)) {
    if (lzma_stream_decoder(&stream_, decoder_memory, LZMA_CONCATENATED) != LZMA_OK) {
      throw IoError(path_, "liblzma has no memory");
    }
  }
  ~Xz() override { lzma_end(&stream_); }

  size_t read(char* out, size_t size) override {
    stream_.next_out = reinterpret_cast<uint8_t*>(out);
    stream_.avail_out = size;
    while (!done_ && stream_.avail_out == size) {
      const bool more = !packed_.empty() || packed_.refill();
      stream_.next_in = reinterpret_cast<const uint8_t*>(packed_.data());
      stream_.avail_in = packed_.size();
      const lzma_ret status = lzma_code(&stream_, more ? LZMA_RUN : LZMA_FINISH);
      packed_.left(stream_.avail_in);
      if (status == LZMA_STREAM_END) {
        done_ = true;
      } else if (status == LZMA_MEMLIMIT_ERROR) {
        broken(path_, "xz", fmt::format("unpacking takes more than {} bytes of memory", decoder_memory));
      } else if (status != LZMA_OK) {
        broken(path_, "xz", more ? "the bytes are no xz stream" : "it stops before its end");
      }
    }
    return size - stream_.avail_out;
  }

 private:
  std::string path_;
  Packed packed_;
  lzma_stream stream_ = LZMA_STREAM_INIT;
  bool done_ = false;
};

class Zstd final : public ByteSource {
 public:
  Zstd(const std::string& path, std::unique_ptr<PlainFile> file)
      : path_(path), packed_(std::move(file)), stream_(ZSTD_createDStream()) {
    if (stream_ == nullptr) throw IoError(path_, "zstd has no memory");
    // 2^27 bytes: what zstd itself takes without being told to.
    ZSTD_DCtx_setParameter(stream_, ZSTD_d_windowLogMax, 27);
  }
  ~Zstd() override { ZSTD_freeDStream(stream_); }
  Zstd(const Zstd&) = delete;
  Zstd& operator=(const Zstd&) = delete;

  size_t read(char* out, size_t size) override {
    ZSTD_outBuffer to{out, size, 0};
    while (to.pos == 0) {
      // As in gzip.
      if (packed_.empty() && !pending_ && !packed_.refill()) {
        if (inside_) broken(path_, "zstd", "it stops before its end");
        return 0;
      }
      ZSTD_inBuffer from{packed_.data(), packed_.size(), 0};
      const size_t status = ZSTD_decompressStream(stream_, &to, &from);
      if (ZSTD_isError(status)) broken(path_, "zstd", ZSTD_getErrorName(status));
      packed_.left(from.size - from.pos);
      inside_ = status != 0;
      pending_ = inside_ && to.pos == size;
    }
    return to.pos;
  }

 private:
  std::string path_;
  Packed packed_;
  ZSTD_DStream* stream_;
  bool inside_ = false, pending_ = false;
};

}  // namespace

std::unique_ptr<ByteSource> open_bytes(const std::string& path) {
  auto file = std::make_unique<PlainFile>(path);
  const std::string start = file->peek(6);
  if (start.starts_with("\x1f\x8b")) return std::make_unique<Gzip>(path, std::move(file));
  if (start == std::string_view("\xfd"
                                "7zXZ\0",
                                6)) {
    return std::make_unique<Xz>(path, std::move(file));
  }
  if (start.starts_with("\x28\xb5\x2f\xfd")) return std::make_unique<Zstd>(path, std::move(file));
  return file;
}

std::string without_compression(const std::string& path) {
  for (const std::string_view ending : {".gz", ".xz", ".zst"}) {
    if (path.ends_with(ending)) return path.substr(0, path.size() - ending.size());
  }
  return path;
}

}  // namespace lethe
