"""The declaration of each endpoint: its path, parameters, answers, errors, and texts in both languages."""

from __future__ import annotations

from replog_api.contracts import schemas
from replog_api.contracts.openapi import examples
from replog_api.contracts.openapi.errors import (
    INVALID_FILTER,
    INVALID_GROUPING,
    INVALID_ID,
    INVALID_LIMIT,
    INVALID_PAGE,
    INVALID_RUNS,
    MISSING,
    UNKNOWN_RECORD,
)
from replog_api.contracts.openapi.operation import CSV, JSON, LINES, PLAIN, Export, Query, Service, Stream
from replog_api.http import query_values
from replog_api.http.languages import Text
from replog_api.http.paths import RECORDS, TASKS

_OF_A_PAGE = ("X-Total-Count", "Link")
#: Methods that load balancers probe with.
PROBED_BY = ("GET", "HEAD")

LATEST_RECORDS = Query(
    path=f"{TASKS}/latest",
    operation_id="list_latest_task_record",
    summary=Text("list latest task record", "查询多个任务的最新日志"),
    text=Text(
        "Tasks by key, each with its latest record, in the order asked; the record is null where none is known.",
        "按 key 查询多个任务及其最新的执行日志，顺序与请求一致；没有执行日志时为 null。",
    ),
    data=list[schemas.Task],
    query=query_values.LatestQuery,
    errors=(MISSING, INVALID_ID),
    examples={"documented": [examples.TASK]},
)
PAGE_TASKS = Query(
    path=f"{TASKS}/list",
    operation_id="list_task_page",
    summary=Text("list task page", "分页查询任务列表"),
    text=Text(
        "A page of tasks, each with its latest record, the last active ones first. A token that is limited to a prefix "
        "knows no other tasks.",
        "任务列表的一页，含各任务最新的执行日志，最近活动的在前。仅限于某一前缀的令牌只能看到该前缀下的任务。",
    ),
    data=schemas.TaskPage,
    query=query_values.TaskPageQuery,
    errors=(MISSING, INVALID_PAGE),
    examples={"documented": examples.page_of(examples.TASK)},
    headers=_OF_A_PAGE,
)
TASK_RUNS = Query(
    path=f"{TASKS}/runs",
    operation_id="list_task_runs",
    summary=Text("list task runs", "查询多个任务最近的执行"),
    text=Text(
        "Tasks by key, each with its newest runs, in the order asked; without runs where a task is unknown.",
        "按 key 查询多个任务最近的若干次执行，顺序与请求一致；任务未知时没有执行。",
    ),
    data=list[schemas.TaskRuns],
    query=query_values.TaskRunsQuery,
    errors=(MISSING, INVALID_RUNS),
    examples={"documented": [examples.RUNS]},
)
PAGE_SILENT = Query(
    path=f"{TASKS}/silent",
    operation_id="list_silent_record_page",
    summary=Text("list silent record page", "分页查询长时间没有事件的任务日志"),
    text=Text(
        "A page of the RUNNING records of which neither the record nor any of its details had an event for so long, "
        "longest silent first, then by id. A token that is limited to a prefix knows those of its own tasks alone.",
        "处于 RUNNING 且其自身和所有详情都长时间没有事件的执行日志的一页，沉默最久的在前，其次按 id 顺序。"
        "仅限于某一前缀的令牌只能看到该前缀下任务的执行日志。",
    ),
    data=schemas.SilentPage,
    query=query_values.SilentPageQuery,
    errors=(MISSING, INVALID_PAGE),
    examples={"documented": examples.NO_PAGE},
    headers=_OF_A_PAGE,
)
LIST_RECORDS = Query(
    path=f"{RECORDS}/list/{{key}}",
    operation_id="list_task_record",
    summary=Text("list task record", "查询任务信息列表"),
    text=Text(
        "All records of a task, newest first; an empty array where the task is unknown. Use pages where there may "
        "be many.",
        "任务的全部执行日志，最新的在前；任务未知时为空数组。数量可能很多时请用分页接口。",
    ),
    data=list[schemas.Record],
    query=query_values.RecordListQuery,
    errors=(INVALID_ID,),
    examples={"documented": [examples.RECORD]},
)
PAGE_RECORDS = Query(
    path=f"{RECORDS}/page/{{key}}",
    operation_id="list_task_record_page",
    summary=Text("list task record page", "分页查询任务日志列表"),
    text=Text(
        "A page of a task's records, newest first; an empty one where the task is unknown, or past the end.",
        "任务执行日志的一页，最新的在前；任务未知或超出末页时为空页。",
    ),
    data=schemas.RecordPage,
    query=query_values.RecordPageQuery,
    errors=(MISSING, INVALID_PAGE),
    examples={"documented": examples.page_of(examples.RECORD)},
    headers=_OF_A_PAGE,
)
LIST_DETAILS = Query(
    path=f"{RECORDS}/detail/list/{{recordId}}",
    operation_id="list_task_record_detail",
    summary=Text("list task record detail", "查询任务日志详情列表"),
    text=Text(
        "All details of a record, newest first; an empty array where the record is unknown. Use pages where there "
        "may be many.",
        "执行日志的全部详情，最新的在前；执行日志未知时为空数组。数量可能很多时请用分页接口。",
    ),
    data=list[schemas.Detail],
    query=query_values.DetailListQuery,
    errors=(INVALID_ID,),
    examples={"documented": [examples.DETAIL]},
)
PAGE_DETAILS = Query(
    path=f"{RECORDS}/detail/page/{{recordId}}",
    operation_id="list_task_record_detail_page",
    summary=Text("list task record detail page", "分页查询任务日志详情列表"),
    text=Text(
        "A page of a record's details, newest first. All filters have to match. Where no such record is known, but "
        "a task with that key: a page of its records, of the filters with status alone. Else an empty page.",
        "执行日志详情的一页，最新的在前。所有过滤条件须同时满足。若没有此执行日志而有以此为 key 的任务，"
        "则为该任务执行日志的一页，"
        "过滤条件仅 status 有效。两者皆无时为空页。",
    ),
    data=schemas.DetailPage | schemas.RecordPage,
    query=query_values.DetailPageQuery,
    errors=(MISSING, INVALID_PAGE),
    examples={
        "documented": examples.page_of(examples.DETAIL),
        "documentedOfATask": examples.page_of(examples.RECORD),
    },
    headers=_OF_A_PAGE,
)
COUNT_DETAILS = Query(
    path=f"{RECORDS}/detail/counts/{{recordId}}",
    operation_id="count_task_record_details",
    summary=Text("count task record details", "统计任务日志详情数"),
    text=Text(
        "A record's details by status, counted by remote cluster, by repository or by both: most failed first, then "
        "by name, by code point. What has no details is left out; an empty array where the record is unknown.",
        "按远程集群、按仓库或按两者统计执行日志的各状态详情数：失败多的在前，其次按名称的码位顺序。没有详情的不列出；"
        "执行日志未知时为空数组。",
    ),
    data=list[schemas.DetailCounts],
    query=query_values.DetailCountsQuery,
    errors=(INVALID_GROUPING,),
    examples={"documented": [examples.COUNTS]},
)
FAILURE_REASONS = Query(
    path=f"{RECORDS}/detail/reasons/{{recordId}}",
    operation_id="list_task_record_failure_reasons",
    summary=Text("list task record failure reasons", "查询任务日志的失败原因"),
    text=Text(
        "Why details of a record failed: their reasons, grouped without the numbers and hashes in them, most failed "
        "first, then by reason. The newest 5,000 failed details are examined. No reasons where the record is unknown.",
        "执行日志中详情失败的原因：忽略其中的数字和哈希后分组，失败多的在前，其次按原因顺序。"
        "仅检查最新的 5000 条失败详情。"
        "执行日志未知时没有原因。",
    ),
    data=schemas.FailureReasons,
    query=query_values.FailureReasonsQuery,
    errors=(INVALID_LIMIT,),
    examples={"documented": examples.REASONS},
)
SILENT_DETAILS = Query(
    path=f"{RECORDS}/detail/silent/{{recordId}}",
    operation_id="list_task_record_silent_details",
    summary=Text("list task record silent details", "查询任务日志中没有动静的详情"),
    text=Text(
        "What a record waits for: since when nothing has come, which RUNNING details have been silent longest, and how "
        "many expected details have not been seen. The newest 5,000 RUNNING details are examined. No details where the "
        "record is unknown.",
        "执行日志在等待什么：自何时起没有事件，哪些 RUNNING 详情最久没有事件，以及尚未出现的预期详情数。"
        "仅检查最新的 5000 条 RUNNING 详情。执行日志未知时没有详情。",
    ),
    data=schemas.SilentDetails,
    query=query_values.SilentDetailsQuery,
    errors=(INVALID_LIMIT,),
    examples={"documented": examples.SILENT_DETAILS},
)
EXPORT_DETAILS = Export(
    path=f"{RECORDS}/detail/export/{{recordId}}",
    operation_id="export_task_record_details",
    summary=Text("export task record details", "导出任务日志详情"),
    text=Text(
        "All details of a record that match, newest first, as a file: CSV (UTF-8 with a byte order mark; cells that a "
        "spreadsheet would take for a formula begin with '), or JSON, one Detail a line, and as the last line how "
        "many they were. All filters have to match. No details where the record is unknown. A body that ends early "
        "is broken off.",
        "将符合条件的执行日志详情导出为文件，最新的在前：CSV（带 BOM 的 UTF-8；"
        "可能被表格软件当作公式的单元格以 ' 开头），"
        "或 JSON（每行一个 Detail，最后一行为行数）。所有过滤条件须同时满足。执行日志未知时没有详情。"
        "未能发送完整的响应会被中断连接。",
    ),
    row=schemas.Detail,
    end=schemas.ExportEnd,
    query=query_values.DetailExportQuery,
    errors=(INVALID_FILTER,),
    examples={CSV: examples.CSV, LINES: examples.LINES},
)
OVERVIEW = Query(
    path=f"{RECORDS}/overview/{{recordId}}",
    operation_id="get_task_record_overview",
    summary=Text("get task record overview", "查询任务日志的详情汇总"),
    text=Text(
        "A record's roll-up over its details, up to date while it runs; null where the record is unknown.",
        "执行日志的详情汇总，执行期间保持最新；执行日志未知时为 null。",
    ),
    data=schemas.Overview | None,
    query=query_values.OverviewQuery,
    errors=(INVALID_ID,),
    examples={"documented": examples.OVERVIEW},
)
STREAM = Stream(
    path=f"{RECORDS}/stream/{{recordId}}",
    operation_id="stream_task_record",
    summary=Text("stream task record", "实时查询单条任务日志"),
    text=Text(
        "One record, live: a snapshot, a change whenever the record or its roll-up is another, and the end once it is "
        "finished or removed. Comments in between are heart-beats. An unknown record is an error: 400, code 250310.",
        "实时查询一条执行日志：先是 snapshot，其后每当执行日志或其汇总有变化则为 change，完成或被删除后为 end。"
        "其间的注释行为心跳。执行日志未知时返回错误：400，错误码 250310。",
    ),
    data=schemas.Watched,
    query=query_values.StreamQuery,
    errors=(INVALID_ID, UNKNOWN_RECORD),
    events=("snapshot", "change", "end"),
    examples={"documented": examples.END},
)
RECORD = Query(
    path=f"{RECORDS}/{{recordId}}",
    operation_id="get_task_record",
    summary=Text("get task record", "查询单条任务日志"),
    text=Text(
        "One record, with what its task replicates. An unknown one is an error: 400, code 250310.",
        "一条执行日志及其任务的类型。执行日志未知时返回错误：400，错误码 250310。",
    ),
    data=schemas.Run,
    query=query_values.RecordQuery,
    errors=(INVALID_ID, UNKNOWN_RECORD),
    examples={"documented": examples.RUN},
)

LIVE = Service(
    path="/livez",
    operation_id="livez",
    summary=Text("the process answers", "进程存活"),
    text=Text("Whether the process answers; its store is not asked.", "进程是否存活；不检查存储。"),
    methods=PROBED_BY,
    media={PLAIN: {"type": "string", "const": "ok\n"}},
)
READY = Service(
    path="/readyz",
    operation_id="readyz",
    summary=Text("queries can be answered", "可以响应查询"),
    text=Text("Whether the store answers in time.", "存储是否及时响应。"),
    media={PLAIN: {"type": "string", "const": "ok\n"}},
    unavailable=Text("the store does not answer; the body says the kind of trouble", "存储无响应；响应体说明故障类型"),
    methods=PROBED_BY,
)
METRICS = Service(
    path="/metrics",
    operation_id="metrics",
    summary=Text("metrics for Prometheus", "Prometheus 指标"),
    text=Text(
        "Metrics in the text format of Prometheus; docs/operations.md lists them.",
        "Prometheus 文本格式的指标；列表见 docs/operations.md。",
    ),
    media={PLAIN: {"type": "string"}},
)
OPENAPI = Service(
    path="/openapi.json",
    operation_id="openapi",
    summary=Text("this document", "本文档"),
    text=Text("The OpenAPI document of this service.", "本服务的 OpenAPI 文档。"),
    media={JSON: {"type": "object", "required": ["openapi", "info", "paths"]}},
)
ASYNCAPI = Service(
    path="/asyncapi.json",
    operation_id="asyncapi",
    summary=Text("the topics that the answers come from", "数据来源的 topic"),
    text=Text(
        "The AsyncAPI document of the topics to which replication workers publish.",
        "同步任务发布事件的 topic 的 AsyncAPI 文档。",
    ),
    media={JSON: {"type": "object", "required": ["asyncapi", "info", "channels"]}},
)

#: All operations, in the order of the document.
OPERATIONS = (
    *(LATEST_RECORDS, PAGE_TASKS, TASK_RUNS, PAGE_SILENT),
    *(LIST_RECORDS, PAGE_RECORDS, LIST_DETAILS, PAGE_DETAILS, COUNT_DETAILS, FAILURE_REASONS, SILENT_DETAILS),
    *(EXPORT_DETAILS,),
    *(OVERVIEW, STREAM, RECORD),
    *(LIVE, READY, METRICS, OPENAPI, ASYNCAPI),
)
