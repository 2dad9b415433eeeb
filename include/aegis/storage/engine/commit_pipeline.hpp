// SPDX-License-Identifier: Apache-2.0
// How an engine's transaction becomes durable and visible: the steps that the transaction manager calls (txn/
// commit_steps.hpp). One object a commit, on the stack; all that may fail happens in prepare() and arrive().
#pragma once

#include <aegis/storage/core/maybe.hpp>
#include <aegis/storage/core/owned.hpp>
#include <aegis/storage/engine/parts.hpp>
#include <aegis/storage/engine/upkeep.hpp>
#include <aegis/storage/txn/row_view.hpp>

#include <new>
#include <utility>

namespace aegis::storage {

template <class Chosen>
class CommitPipeline {
 public:
  using Parts = storage::Parts<Chosen>;
  using Token = typename Parts::Token;
  using Context = typename Parts::Context;

  CommitPipeline(Parts& parts, Upkeep<Chosen>& upkeep, Context& context) : parts_(parts), upkeep_(upkeep), context_(context) {}
  CommitPipeline(const CommitPipeline&) = delete;
  CommitPipeline& operator=(const CommitPipeline&) = delete;
  ~CommitPipeline() {
    if (log_reserved_) parts_.wal->release(payload_.bytes.size());
    upkeep_.space().done(pages_drawn_);
  }

  Result<void> confirm(Timestamp snapshot) { return upkeep_.await_acknowledged(snapshot); }

  Result<void> prepare() {
    AEGIS_TRY(parts_.healthy());
    AEGIS_TRY(upkeep_.before_commit());
    AEGIS_TRY(plan_writes());
    payload_ = Parts::WriteAheadLog::prepare(context_.frame.payload());
    AEGIS_TRY(upkeep_.reserve_log(payload_.bytes.size()));
    log_reserved_ = true;
    AEGIS_TRY(upkeep_.reserve_versions(version_bytes_));
    if (puts_ == 0) return upkeep_.space().reserve(leaves_, context_.writes.bytes(), pages_drawn_, SpaceFor::freeing);
    return upkeep_.space().reserve(count_, context_.writes.bytes(), pages_drawn_);
  }

  Result<void> arrive(Token& token) {
    AEGIS_TRY(parts_.healthy());
    const std::size_t most = parts_.pool->frame_count() / 2;
    PageId last{};
    for (std::size_t i = 0; i < count_; ++i) {
      const Plan& plan = plans()[i];
      if (!plan.info->state_is(TableState::open)) return Error{Errc::table_not_found, "table", number(plan.info->root.table)};
      if (pinned_ >= most || pinned_ >= pin_room_) continue;
      parts_.tree->expect_leaf(token, plan.info->root, plan.leaf);
      AEGIS_TRY(auto pin, parts_.tree->pin_leaf(token, plan.info->root, plan.entry->key()));
      if (pin.id() == last) continue;
      last = pin.id();
      pins()[pinned_++].emplace(std::move(pin));
    }
    return {};
  }

  Result<void> append(Token&, Timestamp timestamp) {
    const auto end = parts_.wal->append(timestamp, payload_);
    log_reserved_ = false;
    if (!end) return end.error().code() == Errc::commit_undecided ? parts_.undecided(end.error()) : end.error();
    end_ = *end;
    return {};
  }

  Result<void> apply(Token& token, Timestamp timestamp) {
    const Timestamp acknowledged = parts_.acknowledged();
    for (std::size_t i = 0; i < count_; ++i) {
      if (auto done = apply_one(token, plans()[i], timestamp, acknowledged); !done) return parts_.undecided(done.error());
    }
    unpin();
    upkeep_.release_pages(token);
    return {};
  }

  Result<bool> settle(Timestamp) {
    if (auto waited = parts_.wal->wait(end_); !waited) return parts_.undecided(waited.error());
    upkeep_.after_commit();
    return Parts::Durability::wait || parts_.wal->durable() >= end_;
  }

  /// Of the transaction's frame, once appended.
  Lsn end() const { return end_; }

 private:
  using Pin = typename Parts::Pool::Pin;
  static constexpr std::size_t few = 8;

  struct Plan {
    const WriteEntry* entry = nullptr;
    TableInfo* info = nullptr;
    PageId leaf{};  // when the write was planned; splits and merges may have changed it
    PreparedVersion version;
  };

  Plan* plans() { return more_plans_ ? more_plans_.get() : few_plans_; }
  Maybe<Pin>* pins() { return more_pins_ ? more_pins_.get() : few_pins_; }
  void unpin() {
    for (std::size_t i = 0; i < pinned_; ++i) pins()[i].reset();
    pinned_ = 0;
  }

  Result<void> make_room() {
    const std::size_t writes = context_.writes.size();
    if (writes <= few) return {};
    more_plans_.reset(new (std::nothrow) Plan[writes]);
    pin_room_ = std::min(writes, parts_.pool->frame_count() / 2);
    if (pin_room_ > few) more_pins_.reset(new (std::nothrow) Maybe<Pin>[pin_room_]);
    if (!more_plans_ || (pin_room_ > few && !more_pins_)) return Error{Errc::out_of_memory, "commit"};
    return {};
  }

  /// Reads what every write replaces (its key's lock keeps that from changing), builds the log frame and takes the
  /// memory for the versions.
  Result<void> plan_writes() {
    AEGIS_TRY(make_room());
    context_.frame.clear();
    Result<void> planned;
    context_.writes.for_each([&](const WriteEntry& entry) {
      if (planned) planned = plan(entry);
    });
    return planned;
  }

  Result<void> plan(const WriteEntry& entry) {
    TableInfo* const info = parts_.tables.find(entry.table());
    const PageId near = entry.leaf != PageId{} || count_ == 0 || plans()[count_ - 1].info != info ? entry.leaf : plans()[count_ - 1].leaf;
    const Result<RowShape> shape = info == nullptr ? RowShape{} : parts_.tree->shape(info->root, entry.key(), near);
    if (info == nullptr || !info->state_is(TableState::open)) return Error{Errc::table_not_found, "table", number(entry.table())};
    AEGIS_TRY(shape);
    const RowShape before = *shape;
    const bool present = before.present();
    if (!present && !entry.present()) return {};  // inserted and erased again: nothing changes
    const LogRecordType type = !entry.present() ? LogRecordType::erase : present ? LogRecordType::update : LogRecordType::insert;
    AEGIS_TRY(context_.frame.add(type, entry.table(), entry.key(), entry.value()));
    AEGIS_TRY(auto version, parts_.manager.versions().prepare(entry.table(), entry.key(), before.stored_bytes));
    version_bytes_ += Version::footprint(entry.key().size(), before.stored_bytes);
    if (entry.present()) ++puts_;
    if (count_ == 0 || plans()[count_ - 1].info != info || plans()[count_ - 1].leaf != before.leaf) ++leaves_;
    plans()[count_++] = Plan{&entry, info, before.leaf, std::move(version)};
    return {};
  }

  Result<void> apply_one(Token& token, Plan& plan, Timestamp timestamp, Timestamp acknowledged) {
    const WriteEntry& entry = *plan.entry;
    parts_.tree->expect_leaf(token, plan.info->root, plan.leaf);
    const auto save = [&](const StoredValue& old) {
      const Bytes cell = bytes_of(old.present() ? old.bytes : std::string_view{});
      parts_.manager.versions().save(std::move(plan.version), timestamp, replaced_row(old, !entry.present()), cell, acknowledged, parts_.manager.snapshots());
    };
    if (entry.present()) return parts_.tree->put(token, plan.info->root, entry.key(), entry.value(), timestamp, save);
    AEGIS_TRY(parts_.tree->erase(token, plan.info->root, entry.key(), true, timestamp, save));
    return {};
  }

  Parts& parts_;
  Upkeep<Chosen>& upkeep_;
  Context& context_;
  LogPayload payload_{};
  Lsn end_{};
  std::int64_t pages_drawn_ = 0;
  std::size_t version_bytes_ = 0;
  std::size_t count_ = 0, pinned_ = 0, pin_room_ = few;
  std::size_t puts_ = 0, leaves_ = 0;           // of the planned ones: that are no erases; and where they were found
  bool log_reserved_ = false;                   // and not used by append() yet
  Plan few_plans_[few];
  Maybe<Pin> few_pins_[few];
  Owned<Plan[]> more_plans_;          // used instead when there are more than a few writes
  Owned<Maybe<Pin>[]> more_pins_;
};

}  // namespace aegis::storage
