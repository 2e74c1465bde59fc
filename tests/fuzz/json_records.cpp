// libFuzzer: bytes as a file of instructions, plain or compressed. Whatever they are, reading ends in records
// or in one of Lethe's errors, in bounded memory.
#include "data/json_records.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <string>

#include "data/instructions.h"
#include "engine/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  static const int file = memfd_create("records", MFD_CLOEXEC);
  static const std::string path = "/proc/self/fd/" + std::to_string(file);
  if (ftruncate(file, 0) != 0 || pwrite(file, bytes, size, 0) != static_cast<ssize_t>(size)) return 0;
  try {
    lethe::JsonRecords records(path, {.record_bytes = 1 << 16, .depth = 16});
    while (records.next()) {
      try {
        lethe::read_conversation(records.record(), {}, path, records.line());
      } catch (const lethe::FormatError&) {
      }
    }
  } catch (const lethe::Error&) {
  }
  return 0;
}
