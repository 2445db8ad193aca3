/**
 * The shapes of the API's answers, as docs/api.md describes them.
 *
 * @typedef {import("./json.js").Count} Count
 *
 * @typedef {object} Overview
 * @property {Count} success
 * @property {Count} failed
 * @property {Count} running
 * @property {Count} total
 * @property {Count | null} expected
 * @property {Count} skip
 * @property {Count} conflict
 * @property {Count} totalSize
 *
 * @typedef {object} Record
 * @property {string} id
 * @property {string} taskKey
 * @property {"RUNNING" | "SUCCESS" | "FAILED"} status
 * @property {string} startTime
 * @property {string | null} endTime
 * @property {string | null} errorReason
 * @property {Count | null} replicatedBytes
 * @property {Count | null} totalBytes
 * @property {Overview} replicaOverview
 * @property {string} lastEventTime
 * @property {boolean} stale
 *
 * @typedef {{taskKey: string, record: Record | null}} Task
 * @typedef {{record: Record, lastActivityTime: string}} SilentRecord
 * @typedef {{id: string, status: "RUNNING" | "SUCCESS" | "FAILED", startTime: string, endTime: string | null}} ShortRun
 * @typedef {{taskKey: string, totalRecords: Count, runs: ShortRun[]}} TaskRuns
 * @typedef {{replicaObjectType: string, replicaType: string, record: Record}} Run
 *
 * @typedef {{total: Count | null, success: Count | null, skip: Count | null, failed: Count | null}} Tally
 * @typedef {object} Progress
 * @property {Tally | null} blob
 * @property {Tally | null} node
 * @property {Tally | null} version
 * @property {Count} totalSize
 * @property {Count} success
 * @property {Count} skip
 * @property {Count} failed
 *
 * @typedef {object} Detail
 * @property {string} id
 * @property {string} recordId
 * @property {string} localCluster
 * @property {string} remoteCluster
 * @property {string} localRepoName
 * @property {string} repoType
 * @property {{packageKey: string, versions: string[] | null} | null} packageConstraint
 * @property {{path: string} | null} pathConstraint
 * @property {string | null} artifactName
 * @property {string | null} version
 * @property {string | null} conflictStrategy
 * @property {Count | null} size
 * @property {string | null} sha256
 * @property {"RUNNING" | "SUCCESS" | "FAILED"} status
 * @property {Progress} progress
 * @property {string} startTime
 * @property {string | null} endTime
 * @property {string | null} errorReason
 * @property {string} lastEventTime
 * @property {boolean} stale
 *
 * @typedef {object} Counts
 * @property {string | null} remoteCluster
 * @property {string | null} localRepoName
 * @property {Count} success
 * @property {Count} failed
 * @property {Count} running
 * @property {Count} total
 *
 * @typedef {{errorReason: string | null, failed: Count, remoteClusters: string[], detailId: string}} Reason
 * @typedef {{failed: Count, examined: Count, reasons: Reason[]}} Reasons
 */

/**
 * @template R
 * @typedef {object} Page
 * @property {number} pageNumber
 * @property {number} pageSize
 * @property {Count} totalRecords
 * @property {Count} totalPages
 * @property {R[]} records
 */

export {};
