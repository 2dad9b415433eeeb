// SPDX-License-Identifier: Apache-2.0
// What a power cut leaves of a disk: everything durable, and of the rest what a cut model takes. Pure functions of medium,
// model and seed, so every image can be made again; a cut is told, and replayed, by one short line.
// Models: Pillai et al. and Zheng et al. (OSDI'14), SQLite's crash tests, CrashMonkey.
#pragma once

#include <aegis/storage/testing/dice.hpp>
#include <aegis/storage/testing/simulated_medium.hpp>

#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace aegis::storage::testing {

enum class CutModel : std::uint8_t {
  nothing,       ///< Of what was not synced nothing is left.
  everything,    ///< All of it.
  all_but_last,  ///< All but the newest change.
  calls,         ///< Any subset of whole calls; names of a directory change in order.
  sectors,       ///< Any subset of 512-byte sectors of each write: torn pages, frames, superblocks.
  garbage,       ///< The same, and a quarter of the sectors that were not synced hold rubbish; files may be longer than their content.
  blocks,        ///< Any subset of 4096-byte blocks of each write.
  reordered,     ///< As sectors, and any subset of a directory's creations, renames and removals.
};
inline constexpr CutModel cut_models[] = {CutModel::nothing, CutModel::everything, CutModel::all_but_last, CutModel::calls,
                                          CutModel::sectors, CutModel::garbage, CutModel::blocks, CutModel::reordered};
constexpr std::string_view name_of(CutModel model) {
  constexpr std::string_view names[] = {"nothing", "everything", "all_but_last", "calls", "sectors", "garbage", "blocks", "reordered"};
  return names[static_cast<unsigned>(model)];
}
/// Whether another seed may give another image.
constexpr bool depends_on_seed(CutModel model) { return model > CutModel::all_but_last; }

/// Where the power goes, and what the cut leaves.
struct PowerCut {
  std::uint64_t call = 0;  ///< The disk's call of that number, from 1.
  bool after = false;      ///< The call takes effect; its caller gets an error all the same.
  CutModel model = CutModel::nothing;
  std::uint64_t seed = 0;

  friend bool operator==(const PowerCut&, const PowerCut&) = default;
};

/// "137+:sectors:5": after call 137, its unsynced sectors by seed 5. parse() takes it back.
inline std::string to_string(const PowerCut& cut) {
  return std::to_string(cut.call) + (cut.after ? "+:" : "-:") + std::string{name_of(cut.model)} + ":" + std::to_string(cut.seed);
}
inline std::optional<PowerCut> parse_power_cut(std::string_view text) {
  PowerCut cut;
  const auto call = std::from_chars(text.data(), text.data() + text.size(), cut.call);
  std::string_view rest = text.substr(static_cast<std::size_t>(call.ptr - text.data()));
  if (call.ec != std::errc{} || rest.size() < 2 || (rest[0] != '+' && rest[0] != '-') || rest[1] != ':') return std::nullopt;
  cut.after = rest[0] == '+';
  rest.remove_prefix(2);
  for (const CutModel model : cut_models) {
    if (!rest.starts_with(name_of(model)) || !rest.substr(name_of(model).size()).starts_with(':')) continue;
    cut.model = model;
    rest.remove_prefix(name_of(model).size() + 1);
    const auto seed = std::from_chars(rest.data(), rest.data() + rest.size(), cut.seed);
    if (seed.ec == std::errc{} && seed.ptr == rest.data() + rest.size()) return cut;
    return std::nullopt;
  }
  return std::nullopt;
}

/// Makes one image of one medium.
class PowerCutImage {
 public:
  PowerCutImage(const SimulatedMedium& before, CutModel model, std::uint64_t seed)
      : before_(before), model_(model), dice_(seed * 0x9e3779b97f4a7c15 + static_cast<unsigned>(model)), odds_(1 + static_cast<unsigned>(dice_.below(3))) {}

  /// Nothing in it is pending any more.
  SimulatedMedium make() {
    find_newest();
    SimulatedMedium image;
    image.changes = before_.changes;
    for (const auto& [path, directory] : before_.directories) {
      if (!directory.durable && !keeps(0)) continue;
      SimulatedMedium::Directory& left = image.directories[path];
      left.durable = true;
      left.durable_names = left.names = names_of(directory);
      for (const auto& [name, file] : left.names)
        if (!image.files.contains(file)) image.files.emplace(file, file_of(before_.files.at(file)));
    }
    return image;
  }

 private:
  using PendingBytes = SimulatedMedium::PendingBytes;
  using PendingName = SimulatedMedium::PendingName;

  void find_newest() {
    for (const auto& [path, directory] : before_.directories)
      for (const PendingName& change : directory.pending) newest_ = change.order > newest_ ? change.order : newest_;
    for (const auto& [number, file] : before_.files)
      for (const PendingBytes& change : file.pending) newest_ = change.order > newest_ ? change.order : newest_;
  }

  /// Whether a whole change is left.
  bool keeps(std::uint64_t order) {
    switch (model_) {
      case CutModel::nothing: return false;
      case CutModel::everything: return true;
      case CutModel::all_but_last: return order != newest_;
      default: return dice_.in_four(odds_);
    }
  }

  SimulatedMedium::Names names_of(const SimulatedMedium::Directory& directory) {
    SimulatedMedium::Names names = directory.durable_names;
    const bool in_order = depends_on_seed(model_) && model_ != CutModel::reordered;
    const std::uint64_t left = in_order ? dice_.below(directory.pending.size() + 1) : directory.pending.size();
    for (std::size_t i = 0; i < left; ++i)
      if (in_order || keeps(directory.pending[i].order)) SimulatedMedium::apply(names, directory.pending[i]);
    return names;
  }

  SimulatedMedium::File file_of(const SimulatedMedium::File& file) {
    SimulatedMedium::File left;
    left.durable = file.durable;
    left.durable_size = file.durable_size;
    for (const PendingBytes& pending : file.pending) {
      if (pending.what == PendingBytes::What::write && model_ >= CutModel::sectors) {
        write_torn(left.durable, pending);
      } else if (keeps(pending.order)) {
        SimulatedMedium::apply(left.durable, pending);
        if (pending.what == PendingBytes::What::size) left.durable_size = pending.length;
      }
    }
    left.durable.clear_from(left.durable_size);
    left.size = left.durable_size;
    left.seen = left.durable;
    return left;
  }

  /// Sectors and blocks are those of the file: a write that shares one with its neighbours puts them at risk too.
  void write_torn(SimulatedContent& content, const PendingBytes& pending) {
    const std::uint64_t step = model_ == CutModel::blocks ? SimulatedContent::page_bytes : sector_bytes;
    const Bytes bytes{*pending.bytes};
    for (std::uint64_t at = pending.offset; at < pending.offset + pending.length;) {
      const std::uint64_t begin = at / step * step, end = begin + step < pending.offset + pending.length ? begin + step : pending.offset + pending.length;
      if (model_ == CutModel::garbage && dice_.in_four(1)) {
        std::byte rubbish[sector_bytes];
        for (std::byte& byte : rubbish) byte = static_cast<std::byte>(dice_.next());
        content.write(begin, rubbish);
      } else if (dice_.in_four(odds_)) {
        content.write(at, bytes.subspan(static_cast<std::size_t>(at - pending.offset), static_cast<std::size_t>(end - at)));
      }
      at = end;
    }
  }

  static constexpr std::size_t sector_bytes = 512;

  const SimulatedMedium& before_;
  CutModel model_;
  Dice dice_;
  unsigned odds_;             // of four: how likely an unsynced change is left, another one for each image
  std::uint64_t newest_ = 0;  // order of the newest pending change
};

inline SimulatedMedium after_power_cut(const SimulatedMedium& before, CutModel model, std::uint64_t seed) { return PowerCutImage{before, model, seed}.make(); }

}  // namespace aegis::storage::testing
