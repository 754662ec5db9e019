#pragma once

#include "src/evaluation/task.h"

namespace ovid::evaluation {

// The task persona-chat: perplexity and ranking of human replies with the persona and without it;
// F1, variety and repetition of replies that the model writes. See Task::run.
TaskReport evaluate_persona_chat(const TaskRun& run);

}  // namespace ovid::evaluation
