#include "src/distributed/message_communicator.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <exception>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "src/distributed/collective_text.h"
#include "src/distributed/collective_thread.h"
#include "src/distributed/errors.h"
#include "src/distributed/message_collectives.h"

namespace ovid::distributed {

namespace {

using Channel = MessageTransport::Channel;
using Clock = std::chrono::steady_clock;

// What a rank that ends the run tells the others; the rest is zeros.
using AbortText = std::array<char, 512>;
// How long it tries, before it leaves the others to whoever started them.
constexpr std::chrono::seconds kAbortPatience{2};

class MessageCommunicator final : public Communicator {
 public:
  MessageCommunicator(std::unique_ptr<MessageTransport> transport,
                      std::unique_ptr<FlightRecorder> recorder)
      : Communicator(transport->ranks(), std::move(recorder)),
        transport_(std::move(transport)),
        collectives_(*transport_, [this] { look_for_abort(); }),
        abort_receive_(transport_->receive(MessageTransport::kAnyRank, Channel::kAbort,
                                           std::as_writable_bytes(std::span(abort_text_)))),
        thread_([this](const std::exception_ptr& failure) { after_failure(failure); }) {}

  ~MessageCommunicator() override {
    // Whoever is unwound by an error leaves the others behind in a collective.
    if (std::uncaught_exceptions() > 0) abort("it ended with an error of its own");
  }

  void abort(std::string_view reason) noexcept override {
    try {
      thread_.fail(std::make_exception_ptr(RankError(own_words(reason))));
    } catch (...) {  // no memory for the words: the others will miss this rank
    }
  }

 private:
  void do_begin(const CollectiveCall& call) override {
    thread_.enqueue(call.header.sequence, [this, call] { run(call); });
  }

  void do_wait(std::int64_t sequence) override { thread_.wait(sequence); }

  void do_exchange(std::span<const std::byte> in, std::span<std::byte> out,
                   const CollectiveHeader& header) override {
    thread_.run(header.sequence, [this, in, out, header] {
      guard([&] {
        agree(header);
        collectives_.exchange(in, out);
      });
      recorder().end(header.sequence);
    });
  }

  void run(const CollectiveCall& call) {
    guard([&] {
      agree(call.header);
      move_data(call);
    });
    recorder().end(call.header.sequence);
  }

  // Also makes sure that all ranks are there.
  void agree(const CollectiveHeader& header) {
    std::vector<CollectiveHeader> headers(static_cast<std::size_t>(count()));
    collectives_.exchange(std::as_bytes(std::span(&header, 1)),
                          std::as_writable_bytes(std::span(headers)));
    require_equal_headers(headers);
    recorder().start(header.sequence);
  }

  void move_data(const CollectiveCall& call) {
    switch (call.header.kind) {
      case CollectiveKind::kAllReduce:
        return collectives_.all_reduce(*call.out);
      case CollectiveKind::kReduceScatter:
        return collectives_.reduce_scatter(*call.in, *call.out);
      case CollectiveKind::kAllGather:
        return collectives_.all_gather(*call.in, *call.out);
      case CollectiveKind::kBroadcast:
        return collectives_.broadcast(*call.out, call.header.root);
      case CollectiveKind::kScatter:  // others than the root have no `in`, and none is looked at
        return collectives_.scatter(call.in.value_or(*call.out), *call.out, call.header.root);
      case CollectiveKind::kExchange:
      case CollectiveKind::kBarrier:
        return;  // not begun with views
    }
  }

  // Before a failure is known outside, what is under way must not touch the operands any more.
  template <class Work>
  void guard(const Work& work) {
    try {
      work();
    } catch (...) {
      transport_->abandon();
      throw;
    }
  }

  // Called by the thread again and again while it waits.
  void look_for_abort() {
    thread_.require_sound();
    if (!transport_->done(abort_receive_)) return;
    told_by_others_ = true;
    throw RankError({abort_text_.begin(), std::find(abort_text_.begin(), abort_text_.end(), '\0')});
  }

  std::string own_words(std::string_view reason) const {
    return fmt::format("rank {} ended the run: {}", rank(), reason);
  }

  // In the thread. Others that were told, or that found the same difference of calls, need no word.
  void after_failure(const std::exception_ptr& failure) {
    transport_->abandon();
    if (told_by_others_) return;
    try {
      std::rethrow_exception(failure);
    } catch (const CollectiveError&) {
    } catch (const RankError& error) {
      const std::string_view text = error.what();
      tell(text.starts_with("rank ") ? std::string(text) : own_words(text));
    } catch (const std::exception& error) {
      tell(own_words(error.what()));
    }
  }

  void tell(const std::string& words) noexcept {
    try {
      AbortText text{};
      std::copy_n(words.begin(), std::min(words.size(), text.size() - 1), text.begin());
      std::vector<MessageTransport::Request> sends;
      for (int other = 0; other < count(); ++other) {
        if (other == rank()) continue;
        sends.push_back(transport_->send(other, Channel::kAbort, std::as_bytes(std::span(text))));
      }
      const auto end = Clock::now() + kAbortPatience;
      while (!sends.empty() && Clock::now() < end) {
        std::erase_if(sends, [&](const auto request) { return transport_->done(request); });
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    } catch (...) {  // nobody is left to be told
    }
  }

  std::unique_ptr<MessageTransport> transport_;
  MessageCollectives collectives_;
  AbortText abort_text_{};
  MessageTransport::Request abort_receive_;
  bool told_by_others_ = false;  // the thread's
  CollectiveThread thread_;      // the last member: it uses the others
};

}  // namespace

std::unique_ptr<Communicator> make_message_communicator(std::unique_ptr<MessageTransport> transport,
                                                        std::unique_ptr<FlightRecorder> recorder) {
  return std::make_unique<MessageCommunicator>(std::move(transport), std::move(recorder));
}

}  // namespace ovid::distributed
