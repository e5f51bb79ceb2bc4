// Words that ask for different things although they stand in the same places of the same questions, and so
// lie close together in every embedding. Base forms.

/** Pairs whose exchange turns a question round. Words of one side, a slash, words of the other. */
export const opposites = `
raise increase rise grow boost up/down lower; lower reduce decrease drop fall down/up; enable/disable;
allow/forbid prohibit ban block deny prevent disallow; open/close shut; start begin launch/stop end finish quit halt;
increase raise boost grow rise/decrease reduce lower cut drop fall shrink; add/remove delete subtract;
install/uninstall remove; create make/delete destroy remove; buy purchase/sell; borrow/lend; send/receive get;
give/take receive; push/pull; import/export; upload/download; encode/decode; encrypt/decrypt;
compress/decompress extract; zip/unzip; pack/unpack; lock/unlock; block/unblock; mute/unmute; follow/unfollow;
hide/show unhide reveal; pin/unpin; subscribe/unsubscribe; register/unregister; connect/disconnect; attach/detach;
mount/unmount; load/unload; plug/unplug; tie/untie; fold/unfold; freeze/thaw unfreeze melt defrost; freeze/boil;
heat warm/cool chill; wet/dry; fill/empty drain; inflate/deflate; tighten/loosen; thicken/thin; strengthen/weaken;
speed accelerate/slow decelerate brake; expand/shrink contract collapse; widen/narrow; lengthen/shorten;
raise lift/lower; ascend/descend; ascending/descending; arrive/leave depart; enter/exit leave; come/go; join/leave;
push/pop; merge/split; accept approve/reject refuse decline deny; agree/disagree; like love/hate dislike; win/lose;
pass/fail; succeed/fail; remember/forget; find/lose; save/spend; save/delete; earn/spend; gain/lose;
deposit/withdraw; credit/debit; hire/fire dismiss; attack/defend; ask/answer; teach/learn; question/answer;
laugh/cry; live/die; build/destroy demolish; break/fix repair; include/exclude; attract/repel; absorb/emit reflect;
inhale/exhale; appear/disappear; activate/deactivate; mark/unmark; check/uncheck; select/deselect; sign/resign;
trust/distrust; cover/uncover expose; bless/curse; wake/sleep; sit/stand; stay/leave;
keep retain/discard remove lose; track/ignore; use/avoid; eat/avoid; recommend/discourage; encourage/discourage;
help/hinder harm; improve/worsen; heal/harm injure; cure/cause; prevent/cause; promote/demote; upgrade/downgrade;
update/rollback; serialize/deserialize; marry/divorce; invest/divest; inherit/bequeath; rent/buy own; wax/wane;
dissolve/form; melt/solidify; evaporate/condense; diagnose/treat cure; cause/treat cure; form/detect; first/last;
next/last previous; latest newest/oldest earliest first; new/old used; young/old; early/late; before/after; pre/post;
prior/subsequent; past/future; ancient/modern; today/tomorrow yesterday; day/night; morning/evening afternoon night;
am/pm; noon/midnight; summer/winter; spring/autumn; sunrise/sunset; weekday/weekend; best/worst; better/worse;
good/bad; right correct/wrong incorrect; true/false; positive/negative; hot/cold; hottest warmest/coldest; high/low;
higher/lower; highest/lowest; tall/short; tallest/shortest; long/short; longer/shorter; longest/shortest;
big large/small little tiny; bigger larger/smaller; biggest largest/smallest;
most largest biggest/least fewest smallest; more/less fewer; maximum max/minimum min; above over/below under beneath;
up/down; upper/lower; top/bottom; left/right; north/south; east/west; northern/southern; eastern/western;
front/back rear; inside indoor/outside outdoor; inner/outer; internal/external; inbound incoming/outbound outgoing;
near close/far; nearest closest/farthest furthest; fast quick/slow; faster quicker/slower; fastest quickest/slowest;
strong/weak; stronger/weaker; strongest/weakest; heavy/light; heavier/lighter; heaviest/lightest; thick/thin;
wide broad/narrow; deep/shallow; deepest/shallowest; hard/soft; hard difficult/easy simple; harder/easier;
easiest/hardest; rich/poor; richest/poorest; cheap/expensive; cheaper/costlier; cheapest/dearest;
safe/dangerous unsafe; safest/riskiest; clean/dirty; part partial half/full whole; full/empty; sharp/blunt;
bright/dark; light/dark; loud/quiet silent; smooth/rough; sweet/sour bitter; fresh/stale rotten; raw/cooked;
alive/dead; healthy/ill sick unhealthy; happy/sad; open/closed; on/off; in/out; public/private; free/paid;
legal/illegal; legally/illegally; possible/impossible; necessary/unnecessary; required mandatory/optional;
voluntary/mandatory; temporary/permanent; domestic/international foreign; local/remote; online/offline;
manual/automatic; manually/automatically; static/dynamic; sync/async; synchronous/asynchronous; mutable/immutable;
single/double multiple; single/married; single/return; one-way/round-trip; male/female; man/woman; men/women;
boy/girl; mother/father; mom/dad; husband/wife; son/daughter; brother/sister; uncle/aunt; king/queen; buyer/seller;
landlord/tenant; employer/employee; teacher/student; doctor/patient; lender/borrower; parent/child;
adult/child kid baby infant; winner/loser; hero/villain; advantage pro benefit/disadvantage con drawback;
strength/weakness; profit/loss; income revenue/expense expenditure; asset/liability; supply/demand; cause/effect;
input/output; source/destination target; sender/recipient receiver; server/client; frontend/backend;
horizontal/vertical; horizontally/vertically; row/column; rows/columns; width/height; latitude/longitude; acid/base;
solid/liquid; plus/minus; multiply/divide; numerator/denominator; odd/even; prime/composite;
primary/foreign secondary; major/minor; gross/net; fixed/variable; short-term/long-term; inclusive/exclusive;
include including with/exclude excluding without except; always/never; often/rarely; everyone everybody/nobody;
everything/nothing; all every/none no some; many much/few little; now currently/previously formerly last before;
any/no; both/neither; with/without; for/against; to/from; before/during; during/after; into/from; onto/off;
toward/away; offline/online; symptom/cause treatment cure; goalkeeper/striker; plaintiff/defendant; vegetarian/meat;
breakfast/lunch dinner; lunch/dinner; arrival/departure; entry/exit; entrance/exit; beginning start/end; birth/death;
born/died die; arrive/depart; married/divorced; upstream/downstream; leap/common; overtime/undertime;
overpay/underpay; overweight/underweight; overcook/undercook; lead/trail; host/guest; creditor/debtor;
benefit/risk harm danger; dose/overdose
`;

/** A word and the same word behind one of these ask for opposite things: lock and unlock. */
export const negatingPrefixes: readonly string[] = ['un', 'dis', 'in', 'im', 'ir', 'il', 'non', 'de', 'mis', 'anti', 'over', 'under', 're'];
