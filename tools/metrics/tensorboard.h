// TensorBoard event files, written without TensorFlow: TFRecord frames around protobuf `Event` messages
// (tensorflow/core/util/event.proto and framework/summary.proto), only the fields that scalars need.
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>

namespace lethe {

// One frame: length (8 bytes, little endian), masked CRC-32C of it, the data, masked CRC-32C of the data.
std::string tfrecord_frame(std::string_view data);

class EventWriter {
 public:
  // Creates `directory` if need be and a new file events.out.tfevents.TIME.lethe.PID.N in it. With
  // resume_step > 0 TensorBoard is told to forget what earlier files of the directory say of that step and
  // later ones. Throws IoError.
  explicit EventWriter(const std::string& directory, int64_t resume_step = 0);

  // Appends one scalar; `step` as the x axis will show it. Throws IoError (a full disk, say).
  void scalar(const std::string& tag, double value, int64_t step);

  // Hands what was appended to the operating system. Throws IoError.
  void flush();

  const std::string& path() const { return path_; }

 private:
  void write_event(const std::string& event);

  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  std::string path_;
  std::unique_ptr<std::FILE, Close> file_;
};

}  // namespace lethe
