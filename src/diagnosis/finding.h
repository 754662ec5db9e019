#pragma once

#include <string>
#include <vector>

// What `ovid doctor` finds out about a machine.
namespace ovid::diagnosis {

enum class Grade { kGood, kDoubtful, kBad };

struct Finding {
  std::string topic;  // a few words: "disk", "memory"; the same for all machines
  Grade grade = Grade::kGood;
  std::string value;  // what was found, with units
  std::string cure;   // what to do about it; empty where the grade is good
};

using Findings = std::vector<Finding>;

// Whether nothing is bad.
bool none_bad(const Findings& findings);

// One line for each finding, its cure in a line of its own. With `colour` the marks are coloured
// by ANSI sequences; they are the words good, doubtful and bad in both cases. Ends with a count.
std::string to_text(const Findings& findings, bool colour);

// {"good": N, "doubtful": N, "bad": N, "findings": [{"topic", "grade", "value", "cure"}]}; cure is
// null where the grade is good.
std::string to_json(const Findings& findings);

}  // namespace ovid::diagnosis
