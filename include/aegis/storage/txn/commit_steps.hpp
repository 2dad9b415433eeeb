// SPDX-License-Identifier: Apache-2.0
// What a commit does besides concurrency control, as the steps that the transaction manager calls in their order.
// Everything that can fail comes before append; a failure of append or apply leaves the commit undecided.
#pragma once

#include <aegis/storage/buffer/commit_section.hpp>
#include <aegis/storage/core/ids.hpp>
#include <aegis/storage/core/result.hpp>

#include <concepts>

namespace aegis::storage {

///  1. confirm(snapshot): for a transaction without writes, waits until what it read is acknowledged.
///  2. prepare(): before the section: reserves log, file and memory, touches the leaves. A failure is a clean abort.
///  3. arrive(token): in the section, the last step that may fail cleanly.
///  4. append(token, timestamp): gives the transaction its place in the log. From here on a failure is commit_undecided.
///  5. apply(token, timestamp): saves every replaced version before its page changes, then changes the page.
///  6. settle(timestamp): after publication and outside of the section: waits for what the durability policy promises.
///     True when the commit survives a power cut.
template <class S>
concept CommitSteps = requires(S steps, CommitSection::Token& token, Timestamp timestamp) {
  { steps.confirm(timestamp) } -> std::same_as<Result<void>>;
  { steps.prepare() } -> std::same_as<Result<void>>;
  { steps.arrive(token) } -> std::same_as<Result<void>>;
  { steps.append(token, timestamp) } -> std::same_as<Result<void>>;
  { steps.apply(token, timestamp) } -> std::same_as<Result<void>>;
  { steps.settle(timestamp) } -> std::same_as<Result<bool>>;
};

/// The steps of a manager that is used alone: there is nothing to log and nothing to change.
struct NoSteps {
  Result<void> confirm(Timestamp) { return {}; }
  Result<void> prepare() { return {}; }
  Result<void> arrive(CommitSection::Token&) { return {}; }
  Result<void> append(CommitSection::Token&, Timestamp) { return {}; }
  Result<void> apply(CommitSection::Token&, Timestamp) { return {}; }
  Result<bool> settle(Timestamp) { return false; }
};

static_assert(CommitSteps<NoSteps>);

}  // namespace aegis::storage
