// Random structured programs, run by the machine for whole warps and by an interpreter of the
// test's own lane by lane.
#include <array>
#include <random>

#include "tests/catch.h"
#include "tests/ptx_emulator/tests/machine_harness.h"

using namespace ptx_emulator;
using namespace ptx_emulator::testing;

namespace {

constexpr std::uint32_t kVariables = 4;
constexpr std::uint32_t kThreads = 80;  // two warps and a half

struct Statement {
  enum class Kind { kAssign, kIf, kLoop, kBreak, kContinue, kReturn, kCall, kBarrier };
  Kind kind = Kind::kAssign;
  std::uint32_t a = 0, b = 0;  // variables
  std::uint32_t factor = 1,
                addend = 0;  // of assignments; of conditions: (var >> addend) & factor == 0
  std::uint32_t callee = 0;
  std::vector<Statement> body, otherwise;
};
using Body = std::vector<Statement>;

class Generator {
 public:
  explicit Generator(std::uint32_t seed) : engine_(seed) {}

  Body body(int depth, bool in_loop, std::uint32_t num_callees, bool is_kernel_top) {
    Body result;
    const int count = 2 + static_cast<int>(random_() % 4);
    for (int i = 0; i < count; ++i)
      result.push_back(statement(depth, in_loop, num_callees, is_kernel_top));
    return result;
  }

 private:
  Statement statement(int depth, bool in_loop, std::uint32_t num_callees, bool is_kernel_top) {
    using Kind = Statement::Kind;
    Statement s;
    s.a = random_() % kVariables;
    s.b = random_() % kVariables;
    s.factor = random_() % 1000 * 2 + 1;
    s.addend = random_() % 1000;
    const std::uint32_t dice = random_() % 100;
    if (dice < 35 || (depth == 0 && dice < 70)) return s;
    if (is_kernel_top && dice < 45) {
      s.kind = Kind::kBarrier;
    } else if (depth > 0 && dice < 62) {
      s.kind = Kind::kIf;
      s.body = body(depth - 1, in_loop, num_callees, false);
      if (random_() % 2 == 0) s.otherwise = body(depth - 1, in_loop, num_callees, false);
    } else if (depth > 0 && dice < 76) {
      s.kind = Kind::kLoop;
      s.body = body(depth - 1, true, num_callees, false);
    } else if (in_loop && dice < 83) {
      s.kind = Kind::kBreak;
    } else if (in_loop && dice < 89) {
      s.kind = Kind::kContinue;
    } else if (dice < 93) {
      s.kind = Kind::kReturn;
    } else if (num_callees > 0) {
      s.kind = Kind::kCall;
      s.callee = random_() % num_callees;
    }
    // Conditions look at a few bits, so that lanes differ.
    if (s.kind != Kind::kAssign) {
      s.factor = s.kind == Kind::kReturn ? 7 : 1 + random_() % 3;
      s.addend = random_() % 8;
    }
    return s;
  }
  std::uint32_t random_() { return static_cast<std::uint32_t>(engine_()); }
  std::mt19937 engine_;
};

// ---- the interpreter
// -------------------------------------------------------------------------------------------------

enum class Flow { kNext, kBreak, kContinue, kReturn };
using Variables = std::array<std::uint32_t, kVariables>;

bool holds(const Statement& s, const Variables& v) {
  return ((v[s.a] >> s.addend) & s.factor) == 0;
}

// Programs that run longer than this are left out: calls inside loops inside calls grow fast.
constexpr std::uint64_t kMostSteps = 200000;
struct Functions {
  std::vector<Body> bodies;
  std::uint64_t steps = 0;  // so far
};

std::uint32_t call(Functions& functions, std::uint32_t function, std::uint32_t argument);

Flow run(Functions& functions, const Body& body, Variables& v) {
  using Kind = Statement::Kind;
  for (const Statement& s : body) {
    if (++functions.steps > kMostSteps) return Flow::kReturn;
    switch (s.kind) {
      case Kind::kAssign:
        v[s.a] = v[s.b] * s.factor + s.addend;
        break;
      case Kind::kBarrier:
        break;
      case Kind::kCall:
        v[s.a] = call(functions, s.callee, v[s.b]);
        break;
      case Kind::kBreak:
        if (holds(s, v)) return Flow::kBreak;
        break;
      case Kind::kContinue:
        if (holds(s, v)) return Flow::kContinue;
        break;
      case Kind::kReturn:
        if (holds(s, v)) return Flow::kReturn;
        break;
      case Kind::kIf: {
        const Flow flow = run(functions, holds(s, v) ? s.body : s.otherwise, v);
        if (flow != Flow::kNext) return flow;
        break;
      }
      case Kind::kLoop: {
        const std::uint32_t count = v[s.b] & 3;
        for (std::uint32_t i = 0; i < count; ++i) {
          const Flow flow = run(functions, s.body, v);
          if (flow == Flow::kReturn) return flow;
          if (flow == Flow::kBreak) break;
        }
        break;
      }
    }
  }
  return Flow::kNext;
}

Variables initial(std::uint32_t x) {
  return {x, x * 2654435761u, x ^ 0x55u, x + 17};
}
std::uint32_t digest(const Variables& v) {
  return v[0] ^ (v[1] * 3) ^ (v[2] * 5) ^ (v[3] * 7);
}

std::uint32_t call(Functions& functions, std::uint32_t function, std::uint32_t argument) {
  Variables v = initial(argument);
  run(functions, functions.bodies[function], v);
  return digest(v);
}

// ---- the same as PTX
// -------------------------------------------------------------------------------------------------

class Writer {
 public:
  std::string text;

  void body(const Body& statements, const std::string& leave, const std::string& breaks,
            const std::string& continues) {
    for (const Statement& s : statements) statement(s, leave, breaks, continues);
  }
  void begin(const std::string& x) {
    line("mov.u32 %v0, " + x);
    line("mul.lo.u32 %v1, " + x + ", 0x9E3779B1");
    line("xor.b32 %v2, " + x + ", 0x55");
    line("add.u32 %v3, " + x + ", 17");
  }
  void finish() {
    line("mul.lo.u32 %t0, %v1, 3");
    line("xor.b32 %v0, %v0, %t0");
    line("mul.lo.u32 %t0, %v2, 5");
    line("xor.b32 %v0, %v0, %t0");
    line("mul.lo.u32 %t0, %v3, 7");
    line("xor.b32 %v0, %v0, %t0");
  }
  void line(const std::string& instruction) { text += "  " + instruction + ";\n"; }
  void label(const std::string& name) { text += name + ":\n"; }
  std::string fresh(const char* stem) { return std::string(stem) + std::to_string(next_++); }

 private:
  static std::string v(std::uint32_t i) { return "%v" + std::to_string(i); }
  void condition(const Statement& s) {
    line("shr.u32 %t0, " + v(s.a) + ", " + std::to_string(s.addend));
    line("and.b32 %t0, %t0, " + std::to_string(s.factor));
    line("setp.eq.u32 %p0, %t0, 0");
  }
  void statement(const Statement& s, const std::string& leave, const std::string& breaks,
                 const std::string& continues) {
    using Kind = Statement::Kind;
    switch (s.kind) {
      case Kind::kAssign:
        line("mad.lo.u32 " + v(s.a) + ", " + v(s.b) + ", " + std::to_string(s.factor) + ", " +
             std::to_string(s.addend));
        break;
      case Kind::kBarrier:
        line("bar.sync 0");
        break;
      case Kind::kCall:
        text += "  { .param .b32 q0; st.param.b32 [q0], " + v(s.b) +
                "; .param .b32 q1; call.uni (q1), f" + std::to_string(s.callee) +
                ", (q0); ld.param.b32 " + v(s.a) + ", [q1]; }\n";
        break;
      case Kind::kBreak:
      case Kind::kContinue:
      case Kind::kReturn:
        condition(s);
        line("@%p0 bra " + (s.kind == Kind::kBreak      ? breaks
                            : s.kind == Kind::kContinue ? continues
                                                        : leave));
        break;
      case Kind::kIf: {
        const std::string other = fresh("E"), end = fresh("X");
        condition(s);
        line("@!%p0 bra " + other);
        body(s.body, leave, breaks, continues);
        line("bra " + end);
        label(other);
        body(s.otherwise, leave, breaks, continues);
        label(end);
        break;
      }
      case Kind::kLoop: {
        const std::string counter = fresh("%c"), head = fresh("H"), next = fresh("N"),
                          end = fresh("X");
        text += "  .reg .u32 " + counter + ";\n";
        line("and.b32 " + counter + ", " + v(s.b) + ", 3");
        label(head);
        line("setp.eq.u32 %p0, " + counter + ", 0");
        line("@%p0 bra " + end);
        body(s.body, leave, end, next);
        label(next);
        line("sub.u32 " + counter + ", " + counter + ", 1");
        line("bra " + head);
        label(end);
        break;
      }
    }
  }
  std::uint32_t next_ = 0;
};

std::string write(const std::vector<Body>& functions, const Body& kernel) {
  const std::string registers =
      "  .reg .pred %p<2>; .reg .u32 %v<4>; .reg .u32 %t<4>; .reg .u64 %rd<4>;\n";
  Writer writer;
  for (std::size_t f = 0; f < functions.size(); ++f) {
    writer.text +=
        ".func (.param .b32 result) f" + std::to_string(f) + "(.param .b32 x)\n{\n" + registers;
    writer.line("ld.param.u32 %t1, [x]");
    writer.begin("%t1");
    const std::string leave = writer.fresh("L");
    writer.body(functions[f], leave, "", "");
    writer.label(leave);
    writer.finish();
    writer.line("st.param.b32 [result], %v0");
    writer.text += "  ret;\n}\n";
  }
  writer.text += ".visible .entry k(.param .u64 out)\n{\n" + registers;
  writer.line("mov.u32 %t1, %tid.x");
  writer.begin("%t1");
  // Lanes that return store and exit at once, before barriers that others still come to.
  const std::string leave = writer.fresh("L");
  writer.body(kernel, leave, "", "");
  writer.label(leave);
  writer.finish();
  writer.text +=
      "  ld.param.u64 %rd0, [out];\n  mul.wide.u32 %rd1, %t1, 4;\n  add.u64 %rd0, %rd0, %rd1;\n"
      "  st.global.u32 [%rd0], %v0;\n  ret;\n}\n";
  return writer.text;
}

// Whether a barrier stands behind a return of the kernel's own: lanes that wait at the common end
// would hold it up.
bool has_early_exit(const Body& body) {
  for (const Statement& s : body) {
    if (s.kind == Statement::Kind::kReturn || has_early_exit(s.body) || has_early_exit(s.otherwise))
      return true;
  }
  return false;
}

void drop_barriers(Body& body) {
  std::erase_if(body, [](const Statement& s) { return s.kind == Statement::Kind::kBarrier; });
}

}  // namespace

TEST_CASE("random structured programs do for every lane what they do for one thread", "[ptx]") {
  std::uint32_t num_run = 0;
  for (std::uint32_t seed = 1; seed <= 200; ++seed) {
    Generator generator(seed);
    Functions functions;
    for (std::uint32_t f = 0; f < 3; ++f)
      functions.bodies.push_back(generator.body(f == 0 ? 2 : 1, false, f, false));
    Body kernel = generator.body(4, false, 3, true);
    if (has_early_exit(kernel)) drop_barriers(kernel);
    std::vector<std::uint32_t> expected;
    for (std::uint32_t t = 0; t < kThreads; ++t) {
      Variables v = initial(t);
      run(functions, kernel, v);
      expected.push_back(digest(v));
    }
    if (functions.steps > kMostSteps) continue;
    ++num_run;
    const std::string text = write(functions.bodies, kernel);
    CAPTURE(seed);
    MachineOptions options = Bench::single_thread();
    options.seed = seed % 3;
    Bench bench(text, options);
    const auto out = bench.upload(std::vector<std::uint32_t>(kThreads));
    const LaunchResult result = bench.run("k", {1}, {kThreads}, out);
    INFO((result.fault ? result.fault->text() : "") << text);
    REQUIRE_FALSE(result.fault.has_value());
    const auto got = bench.download<std::uint32_t>(out, kThreads);
    for (std::uint32_t t = 0; t < kThreads; ++t) {
      if (got[t] != expected[t])
        FAIL("thread " << t << ": " << got[t] << ", expected " << expected[t]);
    }
  }
  CHECK(num_run > 100);
}
