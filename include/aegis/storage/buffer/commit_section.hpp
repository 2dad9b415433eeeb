// SPDX-License-Identifier: Apache-2.0
// The one place where pages change: one thread at a time. Whoever changes a page shows the section's token; the type
// system then says what a comment could only ask for. Order: key locks, section, frames, latches.
#pragma once

#include <aegis/storage/core/assert.hpp>
#include <aegis/storage/core/maybe.hpp>
#include <aegis/storage/core/mutex.hpp>

#include <optional>
#include <utility>

namespace aegis::storage {

class CommitSection {
 public:
  /// Holding it is being in the section; dropping it is leaving. At leaving every structure must be complete.
  class Token {
   public:
    Token(Token&& other) noexcept : section_(std::exchange(other.section_, nullptr)) {}
    Token& operator=(Token&&) = delete;
    ~Token() {
      if (section_ != nullptr) section_->mutex_.unlock();
    }
    bool is_of(const CommitSection& section) const { return section_ == &section; }

   private:
    friend class CommitSection;
    explicit Token(CommitSection& section) : section_(&section) {}

    CommitSection* section_;
  };

  CommitSection() = default;
  CommitSection(const CommitSection&) = delete;
  CommitSection& operator=(const CommitSection&) = delete;

  /// Waits until the section is free. Not recursive.
  Token enter() {
    for (int i = 0; i < spins; ++i) {
      if (mutex_.try_lock()) return Token{*this};
#if defined(__x86_64__) || defined(__i386__)
      __builtin_ia32_pause();
#endif
    }
    mutex_.lock();
    return Token{*this};
  }
  Maybe<Token> try_enter() {
    if (!mutex_.try_lock()) return std::nullopt;
    return Token{*this};
  }

 private:
  static constexpr int spins = 64;  // a section lasts about as long as this; parking costs more

  Mutex mutex_;
};

}  // namespace aegis::storage
