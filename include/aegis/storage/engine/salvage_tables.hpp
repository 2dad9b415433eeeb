// SPDX-License-Identifier: Apache-2.0
// The tables of a damaged store as far as they are known, and where their rows go in the new one. One thread.
#pragma once

#include <aegis/storage/engine/salvage_report.hpp>
#include <aegis/storage/engine/salvage_target.hpp>
#include <aegis/storage/engine/table_info.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace aegis::storage {

template <class Engine>
class SalvagedTables {
 public:
  using Table = typename Engine::Table;

  struct Known {
    TableId id{};
    std::string name;                  ///< Empty with named == false.
    bool named = false;
    TableState state = TableState::open;
    PageId root{};
    bool whole = false;                ///< Its tree was walked to every page.
    SalvagedTable counts{};
    std::optional<Table> proven{}, unproven{};
  };

  explicit SalvagedTables(Engine& engine) : engine_(engine) {}

  Known* find(TableId id) {
    const std::size_t at = place_of(id);
    return at < tables_.size() && tables_[at].id == id ? &tables_[at] : nullptr;
  }
  /// Found, or made without a name. Pointers to others may change.
  Known& at(TableId id) {
    const std::size_t at = place_of(id);
    if (at == tables_.size() || tables_[at].id != id) {
      tables_.insert(tables_.begin() + static_cast<std::ptrdiff_t>(at), Known{});
      tables_[at].id = id;
    }
    return tables_[at];
  }
  /// A row of the catalog, from a page or from the log.
  void learn(std::string_view name, const CatalogRow& row) {
    Known& table = at(row.id);
    table.name = name;
    table.named = true;
    table.state = row.state;
    if (row.root != PageId{}) table.root = row.root;
  }
  std::vector<Known>& all() { return tables_; }

  /// The new store's table for its rows, made when first asked for.
  Result<Table> target(Known& table, bool is_proven) {
    std::optional<Table>& made = is_proven ? table.proven : table.unproven;
    if (!made) {
      AEGIS_TRY(Table opened, engine_.table(target_name(table, is_proven)));
      made = opened;
    }
    return *made;
  }
  std::string target_name(const Known& table, bool is_proven) const {
    if (is_proven && table.named) return table.name;
    std::string name = "lost+found-" + std::to_string(number(table.id)) + (is_proven ? "" : ".unproven");
    while (is_taken(name)) name += '+';
    return name;
  }

 private:
  bool is_taken(const std::string& name) const {
    for (const Known& table : tables_)
      if (table.named && table.name == name) return true;
    return false;
  }
  std::size_t place_of(TableId id) const {
    std::size_t low = 0, high = tables_.size();
    while (low < high) {
      const std::size_t middle = low + (high - low) / 2;
      if (tables_[middle].id < id) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  Engine& engine_;
  std::vector<Known> tables_;  // by id
};

}  // namespace aegis::storage
