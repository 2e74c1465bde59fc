#include "tools/metrics/tensorboard.h"

#include <fmt/format.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>

#include "engine/error.h"
#include "tools/metrics/crc32c.h"

namespace lethe {
namespace {

template <class Integer>
void little_endian(std::string& out, Integer value) {
  for (size_t i = 0; i < sizeof(value); ++i) out.push_back(static_cast<char>((value >> (8 * i)) & 0xFFu));
}

// Protobuf's wire format: a key is (field number << 3) | wire type.
enum WireType : uint32_t { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

void put_varint(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>((value & 0x7F) | 0x80));
  out.push_back(static_cast<char>(value));
}

void put_key(std::string& out, uint32_t field, WireType type) {
  put_varint(out, field << 3 | type);
}

void put_bytes(std::string& out, uint32_t field, std::string_view value) {
  put_key(out, field, bytes);
  put_varint(out, value.size());
  out += value;
}

double wall_time() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

// Event: wall_time = 1 (double), step = 2 (int64).
std::string event_at(int64_t step) {
  std::string event;
  put_key(event, 1, fixed64);
  little_endian(event, std::bit_cast<uint64_t>(wall_time()));
  put_key(event, 2, varint);
  put_varint(event, static_cast<uint64_t>(step));
  return event;
}

}  // namespace

std::string tfrecord_frame(std::string_view data) {
  std::string frame;
  little_endian(frame, static_cast<uint64_t>(data.size()));
  little_endian(frame, masked_crc32c(frame));
  frame += data;
  little_endian(frame, masked_crc32c(data));
  return frame;
}

EventWriter::EventWriter(const std::string& directory, int64_t resume_step) {
  std::error_code failed;
  std::filesystem::create_directories(directory, failed);
  if (failed) throw IoError(directory, failed.message());
  // "x": never into a file that is there, such as that of a run which started within the same second.
  for (int attempt = 0; !file_; ++attempt) {
    path_ = fmt::format("{}/events.out.tfevents.{:010}.lethe.{}.{}", directory,
                        static_cast<int64_t>(wall_time()), getpid(), attempt);
    file_.reset(std::fopen(path_.c_str(), "wbx"));
    if (!file_ && errno != EEXIST) throw IoError(path_, std::strerror(errno));
  }
  std::string version = event_at(0);
  put_bytes(version, 3, "brain.Event:2");  // file_version, the first event of every file
  write_event(version);
  if (resume_step > 0) {
    std::string session;  // SessionLog: status = 1 (START = 1)
    put_key(session, 1, varint);
    put_varint(session, 1);
    std::string event = event_at(resume_step);
    put_bytes(event, 7, session);
    write_event(event);
  }
  flush();
}

void EventWriter::scalar(const std::string& tag, double value, int64_t step) {
  std::string entry;  // Summary.Value: tag = 1, simple_value = 2 (float)
  put_bytes(entry, 1, tag);
  put_key(entry, 2, fixed32);
  little_endian(entry, std::bit_cast<uint32_t>(static_cast<float>(value)));
  std::string summary;  // Summary: value = 1
  put_bytes(summary, 1, entry);
  std::string event = event_at(step);
  put_bytes(event, 5, summary);
  write_event(event);
}

void EventWriter::write_event(const std::string& event) {
  const std::string frame = tfrecord_frame(event);
  if (std::fwrite(frame.data(), 1, frame.size(), file_.get()) != frame.size()) {
    throw IoError(path_, std::strerror(errno));
  }
}

void EventWriter::flush() {
  if (std::fflush(file_.get()) != 0) throw IoError(path_, std::strerror(errno));
}

}  // namespace lethe
