import { createPool, type Pool, type RowDataPacket } from "mysql2/promise";
import { wholeNumber, word, type Environment } from "./settings";

const MAKE_TABLE = `CREATE TABLE IF NOT EXISTS restocks (
  id BIGINT AUTO_INCREMENT PRIMARY KEY,
  store VARCHAR(64) NOT NULL,
  books INT NOT NULL,
  written TIMESTAMP DEFAULT CURRENT_TIMESTAMP
)`;

interface Sum extends RowDataPacket {
  readonly books: string | number;
}

/** The restocked books, as rows of a real database. */
export class RestockLedger {
  private readonly pool: Pool;
  private made: Promise<unknown> | undefined;

  public constructor(env: Environment) {
    this.pool = createPool({
      host: word(env, "MYSQL_HOST", "mysql.bookwarehouse"),
      port: wholeNumber(env, "MYSQL_PORT", 3306),
      user: word(env, "MYSQL_USER", "root"),
      password: word(env, "MYSQL_PASSWORD", "mypassword"),
      database: word(env, "MYSQL_DATABASE", "booksdemo"),
      connectionLimit: 4,
      connectTimeout: 5_000,
      enableKeepAlive: true,
    });
  }

  /** Writes one restocking. Throws when the database does not take it. */
  public async add(store: string, books: number): Promise<void> {
    await this.ready();
    await this.pool.execute("INSERT INTO restocks (store, books) VALUES (?, ?)", [store, books]);
  }

  /** All books ever restocked, summed by the database. Throws when it does not answer. */
  public async total(): Promise<number> {
    await this.ready();
    const [rows] = await this.pool.query<Sum[]>("SELECT COALESCE(SUM(books), 0) AS books FROM restocks");
    return Number(rows[0]?.books ?? 0);
  }

  /** Forgets all. */
  public async clear(): Promise<void> {
    await this.ready();
    await this.pool.query("DELETE FROM restocks");
  }

  /** Ends all connections. */
  public async close(): Promise<void> {
    await this.pool.end();
  }

  /** The table is made once; a failed attempt is made again by the next caller, because the database may start later. */
  private async ready(): Promise<void> {
    this.made ??= this.pool.query(MAKE_TABLE);
    try {
      await this.made;
    } catch (error) {
      this.made = undefined;
      throw error;
    }
  }
}
