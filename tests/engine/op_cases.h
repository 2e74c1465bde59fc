// One description of an operation's use, read by every kind of test: the gradient (central differences in
// double), the spread over dtypes, repeatability over thread counts. A case records a program and nothing
// else.
#pragma once

#include <functional>
#include <map>
#include <ostream>
#include <string>
#include <vector>

#include "engine/session.h"

namespace lethe::test {

// Records a case's program; values are random but fixed by the tensor's name.
class CaseBuilder {
 public:
  CaseBuilder(Tape& tape, DType dtype) : tape_(tape), dtype_(dtype) {}

  Tape& tape() { return tape_; }
  DType dtype() const { return dtype_; }

  // A trained tensor of the case's dtype, normal with the given spread; pitch 0: dense. Its gradient is
  // checked.
  Var parameter(const std::string& name, Shape shape, double spread = 1.0, int64_t pitch = 0);
  // The same with chosen values.
  Var parameter(const std::string& name, Shape shape, const std::vector<double>& values, int64_t pitch = 0);
  // A tensor nothing is differentiated with respect to.
  Var constant(const std::string& name, Shape shape, const std::vector<double>& values);
  Var integers(const std::string& name, Shape shape, const std::vector<int32_t>& values);
  Var integers64(const std::string& name, Shape shape, const std::vector<int64_t>& values);

  const std::map<std::string, std::vector<double>>& values() const { return values_; }
  const std::map<std::string, std::vector<int32_t>>& integer_values() const { return integers_; }
  const std::map<std::string, std::vector<int64_t>>& integer64_values() const { return integers64_; }
  const std::vector<std::string>& parameters() const { return parameters_; }

 private:
  Var declare(const std::string& name, Shape shape, DType dtype, bool trainable, int64_t pitch);

  Tape& tape_;
  DType dtype_;
  std::map<std::string, std::vector<double>> values_;
  std::map<std::string, std::vector<int32_t>> integers_;
  std::map<std::string, std::vector<int64_t>> integers64_;
  std::vector<std::string> parameters_;
};

// Returns the outputs whose weighted sum is the loss; the weights are random.
struct OpCase {
  std::string name;  // "rmsnorm_rows3_width1025"
  std::function<std::vector<Var>(CaseBuilder&)> record;
};

// How a case is named where GoogleTest would print its bytes.
void PrintTo(const OpCase& op_case, std::ostream* out);

// The rows of all operations; each tests/engine/op_cases_*.cpp contributes one function, listed in
// op_cases.cpp.
std::vector<OpCase> all_op_cases();

// A recorded, differentiated and planned case, ready to run.
struct BuiltCase {
  std::unique_ptr<Session> session;
  std::vector<std::string> parameters;
};
BuiltCase build_case(const OpCase& op_case, DType dtype, std::unique_ptr<Backend> backend,
                     const std::function<void(Tape&)>& mark = {});
// The same on the CPU. mark is called on the tape between recording and backward (to drop nodes, say).
BuiltCase build_case(const OpCase& op_case, DType dtype, int threads,
                     const std::function<void(Tape&)>& mark = {});

// Central differences in double of up to `samples` elements of each parameter against the recorded gradient:
// the largest of ||a - n|| / ||n|| over the parameters.
double gradient_error(const OpCase& op_case, int samples = 60, const std::function<void(Tape&)>& mark = {});

}  // namespace lethe::test
