#include "store/catalog.h"

#include <gmock/gmock.h>
#include <sqlite3.h>

#include "tests/unit/store/fixture.h"

namespace rundlet::store {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class CatalogTest : public StoreFixture {
 protected:
  CatalogTest() : store_(Store::Open(state_)), catalog_(store_->dir()) {}

  static std::vector<std::string> Keys(const std::vector<EntryInfo>& entries) {
    std::vector<std::string> keys;
    for (const EntryInfo& info : entries) keys.push_back(info.key);
    return keys;
  }
  // By a connection of its own, as another process would.
  std::vector<std::string> Rows() { return Keys(Catalog(store_->dir()).List(Kind::kPackage)); }
  void RemoveFiles() {
    for (const char* name : {"catalog.db", "catalog.db-wal", "catalog.db-shm"}) {
      base::RemoveTree(store_->dir(), name);
    }
  }

  std::unique_ptr<Store> store_;
  Catalog catalog_;
};

TEST_F(CatalogTest, KeepsWhatItIsToldAsItIs) {
  EntryInfo info = Info(Kind::kPackage, Key(1));
  info.name = "'); DROP TABLE entries; --";
  info.meta = std::string("{\"a\": \"\0\"}", 10);
  info.bytes = uint64_t{1} << 60;
  info.created_at = 1760000000;
  catalog_.Put({info, Info(Kind::kLower, Key(2))});
  const std::vector<EntryInfo> entries = Catalog(store_->dir()).List(Kind::kPackage);
  ASSERT_EQ(entries.size(), 1u);
  EXPECT_EQ(entries[0].key, info.key);
  EXPECT_EQ(entries[0].name, info.name);
  EXPECT_EQ(entries[0].meta, info.meta);
  EXPECT_EQ(entries[0].output, info.output);
  EXPECT_EQ(entries[0].bytes, info.bytes);
  EXPECT_EQ(entries[0].files, info.files);
  EXPECT_EQ(entries[0].created_at, info.created_at);
}

TEST_F(CatalogTest, ForgetsAndReplaces) {
  catalog_.Put({Info(Kind::kPackage, Key(1)), Info(Kind::kPackage, Key(2))});
  EntryInfo again = Info(Kind::kPackage, Key(2));
  again.name = "new";
  catalog_.Put({again});
  catalog_.Forget(Kind::kPackage, {Key(1), Key(3)});
  catalog_.Forget(Kind::kLower, {Key(2)});
  EXPECT_THAT(Rows(), ElementsAre(Key(2)));
  EXPECT_EQ(catalog_.List(Kind::kPackage)[0].name, "new");
}

TEST_F(CatalogTest, IsNotOpenedToFindOrUse) {
  const Lease lease = store_->Use(Kind::kPackage, Key(1));
  store_->Find(Kind::kPackage, Key(1));
  EXPECT_FALSE(base::ExistsAt(store_->dir(), "catalog.db"));
}

TEST_F(CatalogTest, ALostOneIsRebuiltFromTheRecords) {
  Add(*store_, Kind::kPackage, Key(1));
  store_.reset();
  store_ = Store::Open(state_);
  RemoveFiles();
  EXPECT_TRUE(store_->Find(Kind::kPackage, Key(1)));
  const std::vector<EntryInfo> entries = store_->List(Kind::kPackage);
  EXPECT_THAT(Keys(entries), ElementsAre(Key(1)));
  EXPECT_EQ(entries[0].name, "six 1.17.0");
  EXPECT_THAT(Rows(), ElementsAre(Key(1)));
}

TEST_F(CatalogTest, ADamagedOneIsRebuiltFromTheRecords) {
  Add(*store_, Kind::kPackage, Key(1));
  const std::string header("SQLite format 3\0", 16);
  for (const std::string& bytes : {std::string(5000, 'x'), header + std::string(84, '\xff'),
                                   header + std::string(9000, '\0')}) {
    store_ = Store::Open(state_);
    RemoveFiles();
    base::ReplaceAt(store_->dir(), "catalog.db", bytes, 0600, base::Durability::kNone);
    EXPECT_THAT(Keys(store_->List(Kind::kPackage)), ElementsAre(Key(1)));
    EXPECT_THAT(Rows(), ElementsAre(Key(1)));
  }
}

TEST_F(CatalogTest, RowsAndEntriesAreBroughtTogether) {
  Add(*store_, Kind::kPackage, Key(1));
  Add(*store_, Kind::kPackage, Key(2));
  catalog_.Forget(Kind::kPackage, {Key(1)});     // an entry without a row
  catalog_.Put({Info(Kind::kPackage, Key(3))});  // a row without an entry
  base::RemoveTree(store_->dir(), "packages/" + Key(2));
  base::MakeDirs(store_->dir(), "packages/notes");
  EXPECT_FALSE(store_->Find(Kind::kPackage, Key(2)));
  EXPECT_FALSE(store_->Find(Kind::kPackage, Key(3)));
  EXPECT_THAT(Keys(store_->List(Kind::kPackage)), ElementsAre(Key(1)));
  EXPECT_THAT(Rows(), ElementsAre(Key(1)));
}

TEST_F(CatalogTest, AnotherSchemaIsRefusedWhereItIsNeeded) {
  catalog_.Put({});
  sqlite3* database = nullptr;
  ASSERT_EQ(sqlite3_open((state_ + "/catalog.db").c_str(), &database), SQLITE_OK);
  EXPECT_EQ(sqlite3_exec(database, "PRAGMA user_version = 2", nullptr, nullptr, nullptr),
            SQLITE_OK);
  EXPECT_EQ(sqlite3_close(database), SQLITE_OK);
  Add(*store_, Kind::kPackage, Key(1));
  EXPECT_TRUE(store_->Find(Kind::kPackage, Key(1)));
  try {
    store_->List(Kind::kPackage);
    FAIL() << "it was read";
  } catch (const base::Error& error) {
    EXPECT_THAT(error.Render(), HasSubstr("it has schema 2, and this program knows schema 1"));
  }
}

TEST_F(CatalogTest, ManyProcessesMayCreateIt) {
  std::vector<pid_t> children;
  for (int i = 0; i < 8; ++i) {
    children.push_back(InChild([&, i] {
      for (int n = 0; n < 10; ++n) {
        Catalog(store_->dir()).Put({Info(Kind::kPackage, Key(100 * i + n))});
      }
      return 0;
    }));
  }
  for (const pid_t child : children) EXPECT_EQ(StatusOf(child), 0);
  EXPECT_EQ(Rows().size(), 80u);
}

}  // namespace
}  // namespace rundlet::store
